#!/bin/sh
# usage: packaging/image.sh BINARY ROOT
#
# Lays out in the folder ROOT what a container image holds: BINARY as /usr/bin/eice, `aws` as a second name of it, and
# a folder for host keys that anybody may own. The Dockerfile runs it, and so does the test of the image.
set -eu
binary=$1 root=$2

mkdir -p "$root/usr/bin" "$root/state"
install -m 755 "$binary" "$root/usr/bin/eice"
ln -sf eice "$root/usr/bin/aws"
# The user of the Dockerfile: nobody, by no name, since there is no /etc/passwd.
chown 65532:65532 "$root/state"
chmod 700 "$root/state"
