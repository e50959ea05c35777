#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs Debian packages in an image, for the Dockerfile only: apt.sh PACKAGE…
# Leaves no package cache, documentation, translation, log, setuid or setgid bit. What it downloads it
# keeps in /var/cache/image-apt, where the Dockerfile mounts a cache of the builder's.
set -eu

# Documentation and translations are kept out by dpkg's own means, also from what is installed later.
cat >/etc/dpkg/dpkg.cfg.d/agent-runner <<-CONF
	path-exclude /usr/share/doc/*
	path-include /usr/share/doc/*/copyright
	path-exclude /usr/share/man/*
	path-exclude /usr/share/info/*
	path-exclude /usr/share/locale/*
	path-exclude /usr/share/lintian/*
CONF
cache=/var/cache/image-apt
mkdir -p "$cache/archives/partial" "$cache/lists/partial"
export DEBIAN_FRONTEND=noninteractive
apt() {
	apt-get -qq -o "Dir::Cache::archives=$cache/archives" -o "Dir::State::lists=$cache/lists" \
		-o APT::Keep-Downloaded-Packages=true -o Dpkg::Use-Pty=0 "$@"
}
apt update
apt install -y --no-install-recommends "$@" >/dev/null

# What the base, or a package's script, has left.
find /usr/share/doc -mindepth 1 ! -type d ! -name copyright -delete
find /usr/share/doc -mindepth 1 -type d -empty -delete
rm -rf /usr/share/man/* /usr/share/info/* /usr/share/locale/* /usr/share/lintian \
	/var/lib/apt/lists/* /var/cache/apt/*.bin /var/cache/apt/archives/*.deb \
	/var/cache/debconf/*-old /var/lib/dpkg/*-old /var/cache/ldconfig/aux-cache \
	/var/log/*.log /var/log/apt/* /etc/machine-id /var/lib/dbus/machine-id /tmp/* /root/.cache
find / -xdev -type f -perm /6000 -exec chmod ug-s {} +
