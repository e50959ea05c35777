#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs Debian packages in an image, for the Dockerfile only: apt.sh [--no-perl] PACKAGE…
# Leaves no package cache, documentation, translation, setuid bit or log. What it downloads it keeps
# in /var/cache/image-apt, where the Dockerfile mounts a cache of the builder's.
set -eu

# What the packages' files are kept out of, by dpkg's own means: documentation and translations, for
# good; perl's modules, which git asks for and hardly uses, only in this run, so that a later
# `apt-get install --reinstall` brings them.
unwanted=/etc/dpkg/dpkg.cfg.d/agent-runner
cat >"$unwanted" <<-CONF
	path-exclude /usr/share/doc/*
	path-include /usr/share/doc/*/copyright
	path-exclude /usr/share/man/*
	path-exclude /usr/share/info/*
	path-exclude /usr/share/locale/*
	path-exclude /usr/share/lintian/*
CONF
no_perl=/etc/dpkg/dpkg.cfg.d/agent-runner-no-perl
if [ "${1-}" = --no-perl ]; then
	shift
	cat >"$no_perl" <<-CONF
		path-exclude /usr/share/perl/*
		path-exclude /usr/lib/*/perl/*
		path-exclude /usr/lib/*/libperl.so*
		path-exclude /usr/share/locale/*
	CONF
fi

cache=/var/cache/image-apt
mkdir -p "$cache/archives/partial" "$cache/lists/partial"
export DEBIAN_FRONTEND=noninteractive
apt() {
	apt-get -qq -o "Dir::Cache::archives=$cache/archives" -o "Dir::State::lists=$cache/lists" \
		-o APT::Keep-Downloaded-Packages=true -o Dpkg::Use-Pty=0 "$@"
}
apt update
apt install -y --no-install-recommends "$@" >/dev/null

rm -f "$no_perl"
# What the base, or a package's script, has left.
find /usr/share/doc -mindepth 1 ! -type d ! -name copyright -delete
find /usr/share/doc -mindepth 1 -type d -empty -delete
rm -rf /usr/share/man/* /usr/share/info/* /usr/share/locale/* /usr/share/lintian \
	/var/lib/apt/lists/* /var/cache/apt/*.bin /var/cache/apt/archives/*.deb \
	/var/cache/debconf/*-old /var/lib/dpkg/*-old /var/cache/ldconfig/aux-cache \
	/var/log/*.log /var/log/apt/* /etc/machine-id /var/lib/dbus/machine-id /tmp/* /root/.cache
find / -xdev -type f -perm /6000 -exec chmod ug-s {} +
