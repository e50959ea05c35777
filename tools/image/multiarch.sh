#!/bin/sh
# SPDX-License-Identifier: MIT
# An image for several architectures: multiarch.sh build|push IMAGE PLATFORM,PLATFORM… OPTION…
# With docker through buildx, with podman as a manifest. RUNTIME says which; the options are the build's.
set -eu

what=$1 image=$2 platforms=$3
shift 3

if [ "${RUNTIME:-docker}" != "${RUNTIME#*podman}" ]; then
	# Of the last time, or what build-image made: a manifest has to have its name for itself.
	if "$RUNTIME" manifest exists "$image"; then
		"$RUNTIME" manifest rm "$image" >/dev/null
	elif "$RUNTIME" image exists "$image"; then
		"$RUNTIME" untag "$image" "$image"
	fi
	# This and TARGETPLATFORM, as buildx says them by itself.
	here=$("$RUNTIME" info --format '{{.Host.OS}}/{{.Host.Arch}}')
	# A platform of its own for each: else the stages of one would be taken for another's.
	for platform in $(echo "$platforms" | tr , ' '); do
		"$RUNTIME" build --platform "$platform" --build-arg "BUILDPLATFORM=$here" \
			--build-arg "TARGETPLATFORM=$platform" --manifest "$image" "$@" . || {
			[ "$platform" = "$here" ] || echo "multiarch.sh: no image for $platform; another" \
				"architecture than this machine's needs qemu-user-static and binfmt-support" >&2
			exit 1
		}
	done
	[ "$what" = build ] || "$RUNTIME" manifest push --all "$image" "docker://$image"
	"$RUNTIME" manifest inspect "$image"
	exit 0
fi
docker buildx version >/dev/null 2>&1 || {
	echo "multiarch.sh: docker has no buildx here; install its plug-in, or take RUNTIME=podman" >&2
	exit 1
}
# The builder that docker comes with builds for one platform only.
docker buildx inspect agent-runner >/dev/null 2>&1 ||
	docker buildx create --name agent-runner --driver docker-container >/dev/null
case "$what" in
push) output=type=registry,rewrite-timestamp=true ;;
*) output=type=oci,dest=image.tar,rewrite-timestamp=true ;;
esac
docker buildx build --builder agent-runner --platform "$platforms" -t "$image" --output "$output" "$@" .
