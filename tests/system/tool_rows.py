# SPDX-License-Identifier: MIT
"""
What agents do all day, as a table: a script for sh, run in a folder of its own below the agent's,
and what must come out of it, exactly. Each row is run with the agent's rights and without them, so
a script must not lean on what another has left.
"""
import dataclasses


@dataclasses.dataclass(frozen=True)
class Row:
    name: str
    expected: str           # stdout without the white space at its end
    script: str
    options: tuple = ()     # more of confine's
    settings: tuple = ("plain", "strict")   # of the container: see tool_container.py


# A server for what follows on the command line, where {url} stands for its address.
SERVE = r"""
import http.server, subprocess, sys, threading
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<title>A page</title><h1 id=h></h1>"
                         b"<script>h.textContent = 'made ' + (40 + 2)</script>")
    def log_message(self, *_):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_address[1]}/"
sys.exit(subprocess.run([a.replace("{url}", url) for a in sys.argv[1:]]).returncode)
"""

# As agent-browser 0.27.0 starts it, seen with a program in Chromium's place that prints its
# arguments. The port of its debugger is left out: nobody would connect.
CHROMIUM = """chromium --no-first-run --no-default-browser-check --disable-background-networking
 --disable-backgrounding-occluded-windows --disable-component-update --disable-default-apps
 --disable-hang-monitor --disable-popup-blocking --disable-prompt-on-repost --disable-sync
 --disable-features=Translate --enable-features=NetworkService,NetworkServiceInProcess
 --metrics-recording-only --password-store=basic --use-mock-keychain --headless=new
 --enable-unsafe-swiftshader --user-data-dir=/tmp/chromium-$$ --window-size=1280,720
 --disable-dev-shm-usage""".replace("\n", "")

GIT = """
export GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a
export GIT_COMMITTER_EMAIL=a@b GIT_PAGER=cat
git init -q -b main one; cd one; echo 1 > a; git add a; git commit -qm first
"""

ROWS = [
    # The shell, files

    Row("jobs of bash", "T 143 done", r"""
exec bash -eu -c 'set -m; sleep 100 & pid=$!; kill -STOP %1
until s=$(cut -d" " -f3 /proc/$pid/stat); [ $s = T ]; do sleep 0.01; done
kill -CONT %1; kill -TERM %1; code=0; wait $pid 2>/dev/null || code=$?; echo $s $code done' 2>/dev/null
"""),
    Row("300 processes at once", "300", r"""
for i in $(seq 300); do (sleep 0.5; echo x) & done | wc -l
"""),
    Row("small tools", "b\n3\n1,2\n2 a\nx=1", r"""
echo a > f; sed -i s/a/b/ f; cat f; seq 3 | xargs -P 3 -n 1 touch; find . -name '[0-9]' | wc -l
seq 2 | paste -sd,; printf 'a\na\n' | sort | uniq -c | sed 's/^ *//'
printf 'x=0\n' > p; cp p q; echo x=1 > q; diff -u p q | patch -s p || true; cat p
"""),
    Row("files", "0755 1000000 9 1999-01-02 1", r"""
dd if=/dev/zero of=big bs=1000 count=1000 status=none; cp big copy; truncate -s 9 copy
chmod 755 big; touch -d 1999-01-02T12:00 big; ln -s big link; mkdir -p d/e; cp -a link d/e; rm -r d
umask 077; f=$(mktemp); echo 1 > $f; g=$(mktemp -p /var/tmp); mv $f $g
echo 0$(stat -c %a big) $(stat -c %s big) $(stat -c %s copy) $(date -r big +%F) $(cat $g); rm $g
"""),
    Row("names across folders", "same one two three four five", r"""
mkdir a b; echo one > a/f; mv a/f b/f; ln b/f a/g; [ b/f -ef a/g ] && printf 'same '
cat a/g > out; t=$(mktemp -d); echo two > b/h; mv b/h $t/h; cat $t/h >> out
echo three > $t/i; mv $t/i b/i; cat b/i >> out; mkdir a/d; echo four > a/d/x; mv a/d b/d; cat b/d/x >> out
h=$(mktemp -d -p $HOME); mv b/d $h/d; echo five > $h/d/y; mv $h/d a/d; cat a/d/y >> out
rm -r $t $h; echo $(cat out)
"""),
    Row("archives", "1 2\n1", r"""
mkdir d; echo 1 > d/a; echo 2 > d/b; ln d/a d/c; tar czf d.tgz d; mkdir e; tar xzf d.tgz -C e
echo $(cat e/d/a e/d/b); gzip -k d/b; gzip -dc d/b.gz > /dev/null; tar cf - d | (cd /tmp; tar tf -) | grep -c c$
"""),
    Row("devices", "0\n6\nok\nENXIO\nnone", r"""
echo gone > /dev/null; head -c 3 /dev/zero | tr -d '\0' | wc -c; head -c 6 /dev/urandom | wc -c
f=$(mktemp -p /dev/shm); echo ok > $f; cat $f; rm $f
# There is a device, but nobody has a terminal.
python3 -c "
import errno
try: open('/dev/tty', 'w')
except OSError as e: print(errno.errorcode[e.errno])"
crontab -l 2>/dev/null || echo none
"""),
    Row("what runs here", "sh\nyes\n1000\nyes", r"""
cat /proc/$$/comm; ps -e -o comm= | grep -q ps && echo yes; id -u
df -h . > d; du -s . > d; free > d; uptime > d; nproc > d; ls / /etc /proc > d; [ -s d ] && echo yes
"""),
    Row("a pipe with a name", "through", r"""
mkfifo p; echo through > p & cat p
"""),
    Row("locks", "held\nfree\nheld\nfree", r"""
exec 9> lock; flock -n 9; (flock -n lock true && echo free || echo held) 9>&-; flock -u 9
flock -n lock echo free
exec python3 - <<'E'
import fcntl, os
f = open("record", "w"); fcntl.lockf(f, fcntl.LOCK_EX)
if os.fork() == 0:
    try: fcntl.lockf(open("record", "w"), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError: print("held", flush=True)
    os._exit(0)
os.wait(); fcntl.lockf(f, fcntl.LOCK_UN); fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB); print("free")
E
"""),
    Row("a terminal", "pts\n/dev/pts 24 80", r"""
script -qec 'tty' /dev/null | cut -d/ -f3
exec python3 - <<'E'
import fcntl, os, pty, struct, termios
pid, master = pty.fork()
if pid == 0:
    # Also through its name, and through /dev/tty, which is there now.
    with open("/dev/tty", "w") as tty: tty.write(os.path.dirname(os.ttyname(0)) + "\n")
    os._exit(0)
fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
said = os.read(master, 100).decode().strip(); os.waitpid(pid, 0)
print(said, *struct.unpack("HHHH", fcntl.ioctl(master, termios.TIOCGWINSZ, b"0" * 8))[:2])
E
"""),

    # Interpreters

    Row("node: files", "changed f\nx2 true 3", r"""
exec node - <<'E'
const fs = require("fs"), os = require("os"), path = require("path");
const watcher = fs.watch(".", (event, name) => {
  watcher.close(); console.log("changed", name);
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "n-"));
  fs.copyFileSync("f", path.join(dir, "g")); fs.appendFileSync(path.join(dir, "g"), "2");
  fs.renameSync("f", "g"); fs.symlinkSync("g", "l"); fs.writeFileSync("t", "12345"); fs.truncateSync("t", 3);
  console.log(fs.readFileSync(path.join(dir, "g"), "utf8"), fs.lstatSync("l").isSymbolicLink(), fs.statSync("t").size);
  fs.rmSync(dir, { recursive: true });
});
setTimeout(() => fs.writeFileSync("f", "x"), 50);
E
"""),
    Row("node: processes, threads", "exec\nfork 42\nSIGTERM\nworker 7", r"""
cat > child.js <<'E'
process.on("message", (n) => { process.send(n * 2); process.disconnect(); });
E
exec node - <<'E'
const { execFileSync, fork, spawn } = require("child_process"), { Worker } = require("worker_threads");
console.log(execFileSync("echo", ["exec"], { encoding: "utf8" }).trim());
const child = fork("./child.js"); child.send(21);
child.on("message", (n) => console.log("fork", n));
child.on("exit", () => {
  const sleep = spawn("sleep", ["100"], { detached: true, stdio: "ignore" });
  sleep.on("exit", (_, signal) => {
    console.log(signal);
    const shared = new Int32Array(new SharedArrayBuffer(4));
    new Worker("require('worker_threads').workerData[0] = 7", { eval: true, workerData: shared })
      .on("exit", () => console.log("worker", shared[0]));
  });
  process.kill(-sleep.pid, "SIGTERM");
});
E
"""),
    Row("node: http", "200 hello", r"""
exec node - <<'E'
const http = require("http"), server = http.createServer((_, answer) => answer.end("hello"));
server.listen(0, "127.0.0.1", () => http.get({ host: "localhost", family: 4, port: server.address().port }, (answer) => {
  answer.on("data", (data) => { console.log(answer.statusCode, String(data)); server.close(); });
}));
E
"""),
    Row("python: processes", "out\n[1, 4, 9]\nshared 5", r"""
cat > p.py <<'E'
import multiprocessing as mp, subprocess
from multiprocessing import shared_memory
def square(n): return n * n
if __name__ == "__main__":
    print(subprocess.run(["echo", "out"], capture_output=True, text=True).stdout.strip())
    for way in ("fork", "spawn"):
        with mp.get_context(way).Pool(2) as pool: squares = pool.map(square, [1, 2, 3])
    print(squares)
    block = shared_memory.SharedMemory(create=True, size=1); block.buf[0] = 5
    other = shared_memory.SharedMemory(block.name); print("shared", other.buf[0])
    other.close(); block.close(); block.unlink()
E
exec python3 p.py
"""),
    Row("python: files, databases", "3 wal\nsparse 1048577\nmmap m", r"""
exec python3 - <<'E'
import mmap, os, sqlite3, tempfile
with tempfile.TemporaryDirectory() as folder:
    db = sqlite3.connect(folder + "/x.db"); mode = db.execute("pragma journal_mode=wal").fetchone()[0]
    db.execute("create table t (n)"); db.executemany("insert into t values (?)", [(1,), (2,), (3,)]); db.commit()
    print(*sqlite3.connect(folder + "/x.db").execute("select count(*) from t").fetchone(), mode); db.close()
with tempfile.TemporaryFile() as f:
    f.seek(1 << 20); f.write(b"m"); f.flush(); os.posix_fallocate(f.fileno(), 0, 1 << 20)
    print("sparse", os.fstat(f.fileno()).st_size)
    with mmap.mmap(f.fileno(), 0) as m: print("mmap", chr(m[-1]))
E
"""),
    Row("python: venv", "True\nadded", r"""
python3 -m venv --without-pip v; v/bin/python -c 'import sys; print(sys.prefix != sys.base_prefix)'
mkdir -p p/added; echo 'word = "added"' > p/added/__init__.py
# A package without the network: put where pip would put it.
cp -r p/added "$(v/bin/python -c 'import site; print(site.getsitepackages()[0])')"
v/bin/python -c 'import added; print(added.word)'
"""),
    Row("sockets", "unix\nabstract\ntcp\nudp", r"""
exec python3 - <<'E'
import os, socket
def ask(family, kind, address):
    server = socket.socket(family, kind); server.bind(address); stream = kind == socket.SOCK_STREAM
    if stream: server.listen()
    if os.fork() == 0:
        client = socket.socket(family, kind); client.connect(server.getsockname()); client.send(b"x"); os._exit(0)
    peer = server.accept()[0] if stream else server
    assert peer.recv(9) == b"x"; os.wait()
ask(socket.AF_UNIX, socket.SOCK_STREAM, "s"); print("unix")
ask(socket.AF_UNIX, socket.SOCK_STREAM, "\0row-%d" % os.getpid()); print("abstract")
ask(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)); print("tcp")
ask(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)); print("udp")
E
"""),
    Row("inotify", "made moved", r"""
exec python3 - <<'E'
import ctypes, os, struct
libc = ctypes.CDLL(None, use_errno=True); fd = libc.inotify_init1(os.O_CLOEXEC)
assert libc.inotify_add_watch(fd, b".", 0x100 | 0x80) >= 0, os.strerror(ctypes.get_errno())
open("made", "w").close(); os.rename("made", "moved"); data, names = os.read(fd, 4096), []
while data:
    size = struct.unpack_from("iIII", data)[3]; names.append(data[16:16 + size].rstrip(b"\0").decode())
    data = data[16 + size:]
print(*names)
E
"""),

    # Developers' tools

    Row("git", "2 main\nsecond\nstashed\nhook ran\nmoved\nthird", GIT + r"""
git checkout -qb work; echo 2 > b; git add b; git commit -qm second; git checkout -q main
echo 3 > c; git add c; git commit -qm third; git checkout -q work; git rebase -q main
git checkout -q main; git merge -q --ff-only work; cd ..; git clone -q one two; cd two
git gc -q; git fsck --no-progress > /dev/null; echo $(git branch -r | grep -vc HEAD) $(git branch --show-current)
git log -1 --format=%s; echo dirty > a; git stash -q; git stash pop -q; [ "$(cat a)" = dirty ] && echo stashed
printf '#!/bin/sh\necho hook ran\n' > .git/hooks/pre-commit; chmod +x .git/hooks/pre-commit
git commit -qam dirty 2>&1; git worktree add -q ../three; git worktree move ../three ../four
[ -e ../four/a ] && echo moved; git log --format=%s main~1 -- c
"""),
    Row("git: clone from elsewhere, submodule", "1\nsub 1\n1", GIT + r"""
cd ..; t=$(mktemp -d); git clone -q one $t/two; git clone -q $t/two three; cat three/a
git init -q -b main four; cd four; git -c protocol.file.allow=always submodule --quiet add ../one sub
git commit -qm sub; cd ..; git -c protocol.file.allow=always clone -q --recurse-submodules four five 2>/dev/null
echo sub $(cat five/sub/a); git bundle create -q $t/b -C one main 2>/dev/null || git -C one bundle create -q $t/b main
git clone -q -b main $t/b six; cat six/a; rm -rf $t
"""),
    Row("make and gcc", "41 + 1 = 42\nup to date", r"""
printf 'int f(void) { return 42; }\n' > f.c
printf '#include <stdio.h>\nint f(void);\nint main(void) { printf("41 + 1 = %%d\\n", f()); }\n' > m.c
printf 'm: m.o libf.so\n\t$(CC) -pipe -o $@ m.o -L. -lf -Wl,-rpath,$(CURDIR)\n' > Makefile
printf 'libf.so: f.c\n\t$(CC) -shared -fPIC -o $@ $<\n' >> Makefile
make -s -j2 CC=gcc; ./m; make CC=gcc | grep -o 'up to date'
"""),
    Row("gcc: sanitizers", "overflow\nleak", r"""
printf '#include <stdlib.h>\nint main(int c, char **v) { char *p = malloc(9); p[0] = **v; return c > 1 ? p[9] : (p = 0, 0); }\n' > a.c
gcc -g -fsanitize=address,undefined -o a a.c
ASAN_OPTIONS=detect_leaks=0 ./a x 2>&1 | grep -q heap-buffer-overflow && echo overflow
# It stops its own threads with ptrace to look for leaks.
ASAN_OPTIONS=detect_leaks=1 ./a 2>&1 | grep -q 'detected memory leaks' && echo leak
"""),
    Row("gdb", "hit 42", r"""
printf 'int f(int x) { return x + 1; }\nint main(void) { return f(41) != 42; }\n' > d.c; gcc -g -o d d.c
gdb -q -nx -batch -ex 'break f' -ex run -ex finish ./d 2>/dev/null | sed -n 's/^Value returned.*= /hit /p'
"""),
    Row("strace", "openat seen\nattached", r"""
strace -f -o log sh -c 'cat /etc/hostname > /dev/null'; grep -q 'openat(.*/etc/hostname' log && echo openat seen
# To a child of its own, as a debugger does.
strace -f -o log2 -e trace=clone,execve,kill sh -c 'sleep 0.1 & wait' ; grep -q 'sleep' log2 && echo attached
"""),
    Row("ssh-keygen", "256 ED25519\nGood", r"""
ssh-keygen -q -t ed25519 -N '' -C a@b -f k; ssh-keygen -l -f k.pub | sed 's/ .* (/ /; s/)//'
echo text > t; ssh-keygen -q -Y sign -f k -n file t 2>/dev/null; echo "a@b $(cut -d' ' -f1,2 k.pub)" > allowed
ssh-keygen -Y verify -f allowed -I a@b -n file -s t.sig < t | cut -d' ' -f1
"""),
    Row("jq and ripgrep", "3\na.txt:1:needle", r"""
echo '{"a": [1, 2]}' | jq '.a | add'; echo needle > a.txt; echo hay > b.txt; rg -n --no-heading needle .  | sed 's,^\./,,'
"""),
    Row("npm install", "0.25.11\nlet a=1;\nconsole.log(a);", r"""
# A package with a program and an install script, which links or checks a program of machine code.
npm init -y > /dev/null; npm install --no-audit --no-fund --foreground-scripts esbuild@0.25.11 > log 2>&1 || { cat log; exit 1; }
grep -q postinstall log; npx esbuild --version; echo 'let a = 1; console.log(a)' | npx esbuild --minify-whitespace --log-level=error | sed 's/;c/;\nc/'
"""),
    Row("npm: global, from a package", "greeted", r"""
mkdir g; cd g; printf '{"name":"greeter","version":"1.0.0","bin":{"greet":"g.js"}}' > package.json
printf '#!/usr/bin/env node\nconsole.log("greeted")\n' > g.js; npm pack --silent > /dev/null
npm install --silent --offline -g --prefix "$HOME/.npm-global" ./greeter-1.0.0.tgz; "$HOME/.npm-global/bin/greet"
npm uninstall --silent -g --prefix "$HOME/.npm-global" greeter
"""),
    Row("pnpm", "greeted\nhard", r"""
# Its store is below HOME; it links from there where it can, and copies where it cannot.
mkdir g app; printf '{"name":"greeter","version":"1.0.0","bin":{"greet":"g.js"}}' > g/package.json
printf '#!/usr/bin/env node\nconsole.log("greeted")\n' > g/g.js; (cd g; npm pack --silent > /dev/null)
cd app; printf '{"name":"app","version":"1.0.0"}' > package.json
pnpm=/tools/pnpm/node_modules/.bin/pnpm
$pnpm add --offline --store-dir "$HOME/pnpm-store" ../g/greeter-1.0.0.tgz >&2
node_modules/.bin/greet; rm -r node_modules pnpm-lock.yaml
$pnpm add --offline --store-dir ../store --package-import-method=hardlink ../g/greeter-1.0.0.tgz >&2
[ "$(stat -Lc %h node_modules/greeter/g.js)" -gt 1 ] && echo hard
"""),

    # Browsers

    Row("Chromium", "made 42\nPNG 1280 720", f"""
cat > serve.py <<'E'{SERVE}E
chromium="{CHROMIUM} --no-sandbox"
python3 serve.py $chromium --dump-dom {{url}} 2> log | grep -oE 'made [0-9]+'
python3 serve.py $chromium --screenshot=shot.png {{url}} 2>> log
python3 -c 'import struct; d = open("shot.png", "rb").read(); print(d[1:4].decode(), *struct.unpack(">II", d[16:24]))'
rm -rf /tmp/chromium-$$
"""),
    # It calls chroot, which runtimes allow only to holders of CAP_SYS_CHROOT, as they see it at the
    # container's start: with --cap-drop=ALL it fails without our confinement, too.
    Row("Chromium in its own sandbox", "made 42", f"""
cat > serve.py <<'E'{SERVE}E
python3 serve.py {CHROMIUM} --dump-dom {{url}} 2> log | grep -oE 'made [0-9]+' || {{ tail -5 log; exit 1; }}
rm -rf /tmp/chromium-$$
""", ("--userns",), ("plain",)),
    Row("agent-browser", "A page\nmade 42\nPNG", f"""
cat > serve.py <<'E'{SERVE}E
cat > drive <<'E'
set -eu
ab="/tools/agent-browser/node_modules/.bin/agent-browser --session s$$"
trap '$ab close > /dev/null' EXIT
$ab open "$1" > log || {{ cat log; exit 1; }}
sed -n 's/^.*A page.*$/A page/p' log; $ab snapshot | grep -oE 'made [0-9]+'
$ab screenshot "$PWD/shot.png" > /dev/null; head -c 4 shot.png | tail -c 3
E
# It adds the second by itself where it sees a container, as Docker's; not in podman's read-only one.
export AGENT_BROWSER_EXECUTABLE_PATH=/usr/bin/chromium AGENT_BROWSER_ARGS=--no-sandbox; exec python3 serve.py sh drive {{url}}
"""),
]


def find(name):
    return next(row for row in ROWS if row.name == name)
