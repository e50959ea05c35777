#!/bin/sh
# SPDX-License-Identifier: MIT
# Tries an image: test.sh IMAGE TARGET. A line for each check; exit status 1 if one fails.
# RUNTIME is docker or podman; the limits in MB are those of docs/docker.md.
set -u

image=$1 target=${2:-core} runtime=${RUNTIME:-docker} failed=0
case "$target" in
bin) limit=4 ;;
core) limit=100 ;;
claude) limit=500 ;;
*) limit=0 ;;
esac

run() {
	"$runtime" run --rm "$@"
}

check() { # WHAT STATUS TEXT
	if [ "$2" -eq 0 ]; then
		echo "ok      $1: $3"
	else
		echo "FAILED  $1: $3"
		failed=1
	fi
}

version=$(run "$image" --version 2>/dev/null)
check version $? "$version"

bytes=$("$runtime" image inspect --format '{{.Size}}' "$image")
[ "$limit" -eq 0 ] || [ "$bytes" -lt $((limit * 1000000)) ]
check size $? "$((bytes / 1000000)) MB$([ "$limit" -eq 0 ] || echo ", limit $limit MB")"

user=$("$runtime" image inspect --format '{{.Config.User}}' "$image")
case "$user" in
node | 1000 | 1000:1000) true ;;
*) false ;;
esac
check user $? "$user"

answer=$(printf '{"prompt":"hello","groupFolder":"test","chatJid":"t@g.us","isMain":false}' |
	run -i -e AGENT_PROVIDER=mock "$image" 2>/dev/null)
case "$answer" in
*'echo: hello'*) true ;;
*) false ;;
esac
check answer $? "$(echo "$answer" | tr '\n' ' ')"

# In an image without a shell there is nothing but the program.
if [ "$target" != bin ]; then
	id=$(run "$image" sh -c 'id -u' 2>/dev/null)
	[ "$id" = 1000 ]
	check "uid of a command" $? "$id"

	setuid=$(run --user 0:0 --entrypoint find "$image" / -xdev -type f -perm /6000 2>/dev/null)
	[ $? -eq 0 ] && [ -z "$setuid" ]
	check "no setuid or setgid file" $? "$(echo "$setuid" | tr '\n' ' ')"

	caches=$(run --user 0:0 --entrypoint find "$image" /var/cache /var/lib/apt /tmp /root -type f \
		\( -name '*.deb' -o -name '*_Packages*' -o -path '/tmp/*' -o -path '*/_cacache/*' \) 2>/dev/null)
	[ -z "$caches" ]
	check "no package cache" $? "$(echo "$caches" | tr '\n' ' ')"

	container=$("$runtime" run -d "$image" --keep-alive 2>/dev/null)
	sleep 1
	health=$("$runtime" exec "$container" agent-runner --healthcheck 2>/dev/null)
	check health $? "$(echo "$health" | tr '\n' ' ')"
	"$runtime" rm -f "$container" >/dev/null 2>&1
fi
exit $failed
