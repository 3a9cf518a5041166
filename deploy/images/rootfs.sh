#!/bin/sh
# rootfs.sh FOLDER PACKAGE…: the files of Debian packages and of everything they depend on, and nothing else.
# No shell, no package manager, no pip: what is not needed to run cannot be used by whoever gets in. The record of the
# packages stays (var/lib/dpkg/status.d), so that scanners of images know what is in it.
set -eu
root=$1
shift
work=$(mktemp -d)
mkdir -p "$work/partial" "$work/none" "$root/var/lib/dpkg/status.d"
: >"$work/status"
# As if nothing were installed: so apt names the whole closure.
apt-get --quiet=2 --yes --no-install-recommends --download-only \
  -o Dir::State::status="$work/status" -o Dir::Cache::Archives="$work" -o APT::Install-Recommends=0 install "$@" >/dev/null
# Packages of Debian 12 still name /lib and /bin; its systems have them merged into /usr.
for name in bin lib lib64 sbin; do
  mkdir -p "$root/usr/$name"
  ln -s "usr/$name" "$root/$name"
done
for package in "$work"/*.deb; do
  # What packages ask for to install themselves or to be a whole system; and what Python does without: line editing (GPL-3), old databases.
  case $(dpkg-deb --field "$package" Package) in
    dpkg | tar | install-info | readline-common | libreadline8 | libdb5.3 | perl-base | debconf | base-files | debianutils | mawk) continue ;;
  esac
  dpkg-deb --fsys-tarfile "$package" | tar --extract --keep-directory-symlink --directory "$root"
  name=$(dpkg-deb --field "$package" Package)
  dpkg-deb --field "$package" >"$root/var/lib/dpkg/status.d/$name"
done
rm -rf "$work" "$root/usr/share/doc" "$root/usr/share/man" "$root/usr/share/locale" "$root/usr/share/lintian" \
  "$root/usr/share/info" "$root/usr/share/bash-completion"
mkdir -p "$root/etc/ssl/certs" "$root/tmp" "$root/run" "$root/proc" "$root/sys" "$root/dev"
chmod 1777 "$root/tmp"
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
# The one locale: Chinese text breaks in "C", and Triton's stub refuses to start without it.
mkdir -p "$root/usr/lib/locale"
cp -r /usr/lib/locale/C.utf8 "$root/usr/lib/locale/"
# A name for the numeric users of the manifests; nobody logs in.
printf 'root:x:0:0:root:/:/nonexistent\nkefu:x:10001:10001:kefu:/tmp:/nonexistent\n' >"$root/etc/passwd"
printf 'root:x:0:\nkefu:x:10001:\n' >"$root/etc/group"
printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"
ldconfig -r "$root"
[ ! -e "$root/usr/bin/python3.11" ] || ln -sf python3.11 "$root/usr/bin/python3"
