#!/bin/sh
# SPDX-License-Identifier: MIT
# Fetches one package from npm, for the Dockerfile: npm.sh PACKAGE@VERSION FOLDER
# Only the package itself, no dependencies, and no script of it runs. Its checksum has to be the one
# in npm-checksums beside this script. Which registry, and how it is reached, is npm's configuration.
set -eu

what=$1 folder=$2
pins=$(dirname "$0")/npm-checksums
# A certificate authority of one's own, as a secret of the build (docs/docker.md).
[ ! -e /run/secrets/ca ] || export NODE_EXTRA_CA_CERTS=/run/secrets/ca

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
file=$(cd "$work" && npm pack --silent --ignore-scripts "$what") || {
	echo "npm.sh: npm cannot fetch $what; behind a proxy with a certificate of its own give the build" \
		"--secret id=ca,src=FILE" >&2
	exit 1
}
sum=$(openssl dgst -sha512 -binary "$work/$file" | base64 -w 0)
pin=$(sed -n "s|^$what sha512-||p" "$pins")
if [ "$sum" != "$pin" ]; then
	echo "npm.sh: $what has the checksum sha512-$sum, but tools/image/npm-checksums says" \
		"${pin:+sha512-}${pin:-nothing about it}" >&2
	exit 1
fi
mkdir -p "$folder"
tar -xzf "$work/$file" -C "$folder" --strip-components=1 --no-same-owner --no-same-permissions
