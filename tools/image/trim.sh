#!/bin/sh
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2046 # lists of files, none with a blank in its name
# Takes out of an image, for the Dockerfile, what an agent's work does not need: apt, dpkg, perl, and
# what only they, logins and disks need. Prints what each row was worth.
set -eu

size() {
	du -xsk --exclude=/proc --exclude=/sys / 2>/dev/null | cut -f 1
}

drop() { # WHAT PATTERN…
	what=$1 before=$(size)
	shift
	# shellcheck disable=SC2048,SC2086 # patterns
	rm -rf $*
	echo "$((before - $(size))) KiB  $what"
}

drop "perl's modules: git send-email, svn and cvs" \
	/usr/share/perl/* '/usr/lib/*/perl/*' '/usr/lib/*/libperl.so*'
drop "git's servers and rare clients" /usr/lib/git-core/git-http-push \
	/usr/lib/git-core/git-http-fetch /usr/lib/git-core/git-http-backend \
	/usr/lib/git-core/git-imap-send /usr/lib/git-core/git-daemon /usr/lib/git-core/git-shell \
	/usr/bin/git-shell /usr/lib/git-core/scalar /usr/bin/scalar /usr/share/gitweb
# The package holds the same file twice.
if cmp -s /usr/bin/git /usr/lib/git-core/git; then
	before=$(size)
	ln -sf ../../bin/git /usr/lib/git-core/git
	echo "$((before - $(size))) KiB  git's second copy of itself"
fi
drop "character sets other than UTF-8, Latin-1 and ASCII" \
	$(find /usr/lib/*/gconv -name '*.so' ! -name 'ISO8859-1*.so' ! -name 'UTF-*.so' \
		! -name 'UNICODE.so' ! -name 'CP1252.so' 2>/dev/null)
drop "python's compiled files" $(find /usr/lib/python3* /usr/share/python3 -name __pycache__)
drop "python's 2to3, help topics and installer of pip" '/usr/lib/python3.*/lib2to3' \
	'/usr/lib/python3.*/pydoc_data' '/usr/lib/python3.*/ensurepip' '/usr/lib/python3.*/distutils'
drop "completion, hooks and editor files" /usr/share/bash-completion /usr/share/zsh \
	/usr/share/git-core/contrib /usr/share/gcc /usr/share/gdb /usr/lib/systemd
# The list of packages, /var/lib/dpkg/status, stays for those who look for holes in them.
drop "apt and dpkg" /usr/bin/apt* /usr/lib/apt /usr/bin/dpkg* /usr/sbin/dpkg* /usr/lib/dpkg \
	/usr/share/dpkg /usr/bin/gpgv /usr/share/keyrings /etc/apt /var/lib/apt /var/cache/apt \
	/var/lib/dpkg/info /usr/sbin/update-* '/usr/lib/*/libapt-p*' \
	/usr/share/polkit-1
drop "perl and debconf" /usr/bin/perl* '/usr/lib/*/perl-base' /usr/share/perl5 /usr/share/debconf \
	/var/lib/debconf /var/cache/debconf /usr/sbin/dpkg-preconfigure /usr/bin/debconf* \
	/usr/share/pam* /usr/share/python3
drop "tools for disks and logins" /usr/sbin/mke2fs /usr/sbin/mkfs* /usr/sbin/fsck* \
	/usr/sbin/e2* /usr/sbin/tune2fs /usr/sbin/resize2fs /usr/sbin/debugfs /usr/sbin/dumpe2fs \
	/usr/sbin/badblocks /usr/sbin/filefrag /usr/sbin/logsave /usr/sbin/mklost+found \
	/usr/sbin/swap* /usr/sbin/mkswap /usr/sbin/blk* /usr/sbin/fs* /usr/sbin/losetup \
	/usr/sbin/user* /usr/sbin/group* /usr/sbin/ch*passwd /usr/sbin/newusers /usr/sbin/pw* \
	/usr/sbin/gr* /usr/sbin/vi?? /usr/sbin/shadowconfig /usr/sbin/cppw /usr/sbin/cpgr \
	/usr/bin/passwd /usr/bin/ch?? /usr/bin/chage /usr/bin/gpasswd /usr/bin/su /usr/bin/login \
	/usr/bin/mount /usr/bin/umount /usr/bin/newgrp /usr/bin/expiry /usr/sbin/agetty \
	/usr/sbin/runuser /usr/sbin/mkhomedir_helper /usr/sbin/faillock /usr/bin/lastlog \
	/usr/sbin/hwclock /usr/bin/ls[bilmn]?* /usr/bin/logger /usr/sbin/unix_* /usr/sbin/pam* '/usr/lib/*/security' \
	'/usr/lib/*/libext2fs*' '/usr/lib/*/e2initrd_helper' '/usr/lib/*/libdb-5*' \
	'/usr/lib/*/libsemanage*' '/usr/lib/*/libsepol*' '/usr/lib/*/libpam*' \
	'/usr/lib/*/libsystemd*' '/usr/lib/*/libgcrypt*' '/usr/lib/*/libgpg-error*' \
	'/usr/lib/*/libbrotlienc*' '/usr/lib/*/sasl2' '/usr/lib/python3*/lib-dynload/_dbm*' \
	/usr/lib/valgrind /usr/bin/localedef /usr/lib/openssh/ssh-pkcs11-helper
