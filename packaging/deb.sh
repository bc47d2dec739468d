#!/bin/sh
# usage: packaging/deb.sh BINARY DIR
#
# Builds DIR/eice_VERSION_ARCH.deb from the static BINARY, which must have every feature: the package contains the
# service, and the binary generates its own manual pages and completions. All dates are SOURCE_DATE_EPOCH, or that of
# the last commit: the same sources and binary give the same package, byte for byte.
set -eu
binary=$1 out=$2
cd "$(dirname "$0")/.."

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n1)
architecture=$(dpkg --print-architecture)
# A package needs a contact. There is no address yet, and .invalid is reserved (RFC 2606).
maintainer='The eice authors <maintainers@eice.invalid>'
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct 2>/dev/null || stat -c %Y Cargo.toml)}"
export SOURCE_DATE_EPOCH

if ! LC_ALL=C ldd "$binary" 2>&1 | grep -q -e 'statically linked' -e 'not a dynamic executable'; then
    echo "deb: $binary needs libraries: it must be what \`make static\` builds" >&2
    exit 65
fi
if [ "$("$binary" --version)" != "eice $version" ]; then
    echo "deb: $binary is not version $version" >&2
    exit 65
fi

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 755 "$root"
doc=$root/usr/share/doc/eice
man=$root/usr/share/man/man1

install -D -m 755 "$binary" "$root/usr/bin/eice"
install -D -m 644 packaging/eice.service "$root/lib/systemd/system/eice.service"

"$binary" man "$man"
gzip -9n "$man"/*
mkdir -p "$root/usr/share/bash-completion/completions" "$root/usr/share/zsh/vendor-completions" \
    "$root/usr/share/fish/vendor_completions.d"
"$binary" completions bash >"$root/usr/share/bash-completion/completions/eice"
"$binary" completions zsh >"$root/usr/share/zsh/vendor-completions/_eice"
"$binary" completions fish >"$root/usr/share/fish/vendor_completions.d/eice.fish"

# The example, with the service's own file for host keys.
mkdir -p "$root/etc/eice"
sed 's|^#:host_keys = |host_keys = |' docs/serve.example.toml >"$root/etc/eice/serve.toml"
grep -q '^host_keys = "/var/lib/eice/host_keys.json"' "$root/etc/eice/serve.toml"
install -m 644 packaging/deb/directory.toml "$root/etc/eice/directory.toml"
install -m 600 packaging/deb/environment "$root/etc/eice/environment"

install -D -m 644 packaging/deb/copyright "$doc/copyright"
install -m 644 docs/serve.example.toml docs/directory.example.toml "$doc"
gzip -9nc CHANGELOG.md >"$doc/CHANGELOG.md.gz"
packaging/third-party.sh | gzip -9n >"$doc/third-party.gz"
{
    printf 'eice (%s) unstable; urgency=medium\n\n' "$version"
    printf '  * See CHANGELOG.md.gz in this directory.\n\n'
    printf ' -- %s  %s\n' "$maintainer" "$(date -u -R -d "@$SOURCE_DATE_EPOCH")"
} | gzip -9n >"$doc/changelog.gz"
mkdir -p "$root/usr/share/lintian/overrides"
cat >"$root/usr/share/lintian/overrides/eice" <<'OVERRIDES'
# A static position-independent executable looks like a library.
eice: shared-library-lacks-prerequisites [usr/bin/eice]
# Credentials.
eice: non-standard-file-perm 0600 != 0644 [etc/eice/environment]
OVERRIDES

find "$root" -type d -exec chmod 755 {} +
find "$root/usr/share" "$root/etc/eice/serve.toml" -type f -exec chmod 644 {} +
size=$(du -k -s --apparent-size "$root" | cut -f1)
mkdir "$root/DEBIAN"
for script in postinst prerm postrm; do install -m 755 "packaging/deb/$script" "$root/DEBIAN/$script"; done
printf '%s\n' /etc/eice/serve.toml /etc/eice/directory.toml /etc/eice/environment >"$root/DEBIAN/conffiles"
cat >"$root/DEBIAN/control" <<CONTROL
Package: eice
Version: $version
Architecture: $architecture
Maintainer: $maintainer
Installed-Size: $size
Recommends: ca-certificates
Suggests: openssh-client
Section: net
Priority: optional
Description: AWS EC2 Instance Connect Endpoint tunnels and terminals
 Opens shells on EC2 instances that have no public address and no SSH key,
 through an AWS EC2 Instance Connect Endpoint, natively: no aws-cli, no Python,
 no ssh binary, no key on disk.
 .
 It contains the client commands (ssh, tunnel and more), a gateway that serves
 terminals to browsers, with its systemd unit, and a local AWS emulator to try
 both with.
CONTROL
(cd "$root" && find . -path ./DEBIAN -prune -o -type f -printf '%P\n' | LC_ALL=C sort | xargs md5sum) \
    >"$root/DEBIAN/md5sums"
find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +

mkdir -p "$out"
dpkg-deb --root-owner-group -Zxz --build "$root" "$out/eice_${version}_$architecture.deb" >/dev/null
echo "$out/eice_${version}_$architecture.deb"
