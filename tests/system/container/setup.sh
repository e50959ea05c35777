#!/bin/sh
# SPDX-License-Identifier: MIT
# Makes real containers possible for the tests, by itself and without touching /etc: finds settings
# that work on this machine, makes a base image (there may be no image registry), builds our image.
# Prints the path of a podman that is set up so. Running it again does only what is left to do.
#
#   setup.sh          builds localhost/agent-runner:test, the target core of the Dockerfile
#   setup.sh TARGET…  builds these targets instead: localhost/agent-runner:TARGET
#
# All of it lives in .cache/container, or in the folder that AGENT_CONTAINER_CACHE names.
set -eu

top=$(cd "$(dirname "$0")/../../.." && pwd)
cache=${AGENT_CONTAINER_CACHE:-$top/.cache/container}
base=docker.io/library/debian:bookworm-slim
image=localhost/agent-runner:test
podman=$cache/podman

say() {
	echo "container: $*" >&2
}

fail() {
	say "$*"
	exit 1
}

# The sockets of a container lie below runroot, and a socket's path has 107 bytes at most.
[ "$(id -u)" -eq 0 ] && run=/run || run=${XDG_RUNTIME_DIR:-/tmp}
runroot=$run/agent-runner-test-$(id -u)-$(printf %s "$cache" | cksum | cut -d ' ' -f 1)

write_settings() { # RUNTIME DRIVER
	cat >"$cache/containers.conf" <<-CONF
		[containers]
		netns = "host"
		default_ulimits = ["nofile=1024:1024", "nproc=10000:10000"]
		log_driver = "k8s-file"
		[engine]
		runtime = "$1"
		cgroup_manager = "cgroupfs"
		events_logger = "file"
	CONF
	cat >"$cache/storage.conf" <<-CONF
		[storage]
		driver = "$2"
		graphroot = "$cache/storage-$2"
		runroot = "$runroot"
	CONF
	cat >"$podman" <<-SCRIPT
		#!/bin/sh
		export CONTAINERS_CONF='$cache/containers.conf'
		export CONTAINERS_STORAGE_CONF='$cache/storage.conf'
		exec podman "\$@"
	SCRIPT
	chmod +x "$podman"
}

# An image of one file, to try a setting in milliseconds: `true`, linked statically.
try_settings() {
	printf 'int main(void) { return 0; }\n' >"$cache/true.c"
	cc -static -o "$cache/true" "$cache/true.c"
	tar -C "$cache" -cf "$cache/true.tar" true
	"$podman" import -q "$cache/true.tar" localhost/probe:1 >/dev/null 2>"$cache/try.log" &&
		"$podman" run --rm localhost/probe:1 /true 2>>"$cache/try.log"
}

find_settings() {
	for driver in overlay vfs; do
		for runtime in runc crun; do
			command -v "$runtime" >/dev/null 2>&1 || continue
			write_settings "$runtime" "$driver"
			try_settings && say "works with $runtime, storage $driver" && return 0
		done
	done
	cat "$cache/try.log" >&2
	fail "podman runs no container here, neither with runc nor with crun"
}

make_base() {
	say "making the base image $base with mmdebstrap"
	# As slim as Debian's own image of that name.
	mmdebstrap --quiet --variant=minbase --aptopt='APT::Install-Recommends "false"' \
		--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/info/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
		--dpkgopt='path-include=/usr/share/doc/*/copyright' bookworm "$cache/base.tar" ||
		fail "mmdebstrap failed"
	"$podman" import -q "$cache/base.tar" "$base" >/dev/null
	rm -f "$cache/base.tar"
}

mkdir -p "$cache"
for tool in podman mmdebstrap cc; do
	command -v "$tool" >/dev/null 2>&1 || fail "$tool is missing; tools/packages.sh build container"
done
# Two runs at once would build twice and tread on each other.
exec 9>"$cache/lock"
flock 9

if ! { [ -x "$podman" ] && "$podman" image exists localhost/probe:1 2>/dev/null &&
	"$podman" run --rm localhost/probe:1 /true 2>/dev/null; }; then
	find_settings
fi
"$podman" image exists "$base" || make_base
# Certificates for npm in the build: this machine's, which may be behind a proxy with one of its own.
certificates=${NODE_EXTRA_CA_CERTS:-/etc/ssl/certs/ca-certificates.crt}
build() { # TARGET IMAGE
	# shellcheck disable=SC2046 # two words, or none
	"$podman" build -q --network=host --format docker --build-arg VERSION=test --target "$1" \
		$([ ! -f "$certificates" ] || echo --secret "id=ca,src=$certificates") -t "$2" "$top" \
		>"$cache/build-$1.log" 2>&1 || {
		cat "$cache/build-$1.log" >&2
		fail "the image $1 does not build"
	}
}
[ $# -gt 0 ] || build core "$image"
for target in "$@"; do
	build "$target" "localhost/agent-runner:$target"
done
echo "$podman"
