#!/bin/sh
# usage: packaging/image.sh BINARY ROOT
#
# Creates the contents of a container image in the folder ROOT: BINARY as /usr/bin/eice, `aws` as its second name, and a
# folder for host keys. The Dockerfile and the image's test run it.
set -eu
binary=$1 root=$2

mkdir -p "$root/usr/bin" "$root/state"
install -m 755 "$binary" "$root/usr/bin/eice"
ln -sf eice "$root/usr/bin/aws"
# The Dockerfile's user: numeric, because there is no /etc/passwd.
chown 65532:65532 "$root/state"
chmod 700 "$root/state"
