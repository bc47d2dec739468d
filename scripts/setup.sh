#!/bin/sh
# usage: scripts/setup.sh NEED...
#
# Ensures the requirements of a Makefile target. As root it installs the missing Debian packages; otherwise it lists them in
# one line and fails. It changes nothing if nothing is missing.
set -eu

MIN_NODE=18 # what Debian 12 has; the page's tools run on it

# Checks whether NEED is installed.
has() {
    case $1 in
        node) node -e "process.exit(parseInt(process.versions.node) >= $MIN_NODE ? 0 : 1)" 2>/dev/null ;;
        sshd | dnsmasq | nginx) [ -x "/usr/sbin/$1" ] || command -v "$1" >/dev/null ;;
        docker) command -v docker >/dev/null && { [ -x /usr/sbin/dockerd ] || command -v dockerd >/dev/null; } ;;
        postgres) ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || command -v postgres >/dev/null ;;
        ca-certificates) [ -s /etc/ssl/certs/ca-certificates.crt ] ;;
        *) command -v "$1" >/dev/null ;;
    esac
}

# Prints the Debian packages that provide NEED.
packages() {
    case $1 in
        cc) echo gcc libc6-dev ;;
        node) echo nodejs npm ;;
        npm) echo npm ;;
        sshd) echo openssh-server ;;
        ssh | scp | ssh-add | ssh-agent | ssh-keygen) echo openssh-client ;;
        docker) if apt-cache show docker-cli >/dev/null 2>&1; then echo docker.io docker-cli; else echo docker.io; fi ;;
        busybox) echo busybox-static ;;
        dnsmasq) echo dnsmasq-base ;;
        dpkg-deb) echo dpkg ;;
        nginx) echo nginx-light ;;
        postgres) echo postgresql ;;
        ps) echo procps ;;
        setpriv | setsid | umount | unshare) echo util-linux ;;
        systemd-analyze) echo systemd ;;
        useradd) echo passwd ;;
        vi) echo vim-tiny ;;
        *) echo "$1" ;;
    esac
}

missing=
for need in "$@"; do
    case $need in cargo) continue ;; esac
    has "$need" || missing="$missing $need"
done

case " $* " in
    *" cargo "*)
        if ! command -v cargo >/dev/null; then
            echo "setup: Rust is missing: install it from https://rustup.rs, then run this again" >&2
            exit 69
        fi
        want=$(sed -n 's/^rust-version = "\([0-9.]*\)".*/\1/p' "$(dirname "$0")/../Cargo.toml")
        have=$(rustc --version | cut -d' ' -f2 | cut -d- -f1)
        if [ "$(printf '%s\n%s\n' "$want" "$have" | sort -V | head -n1)" != "$want" ]; then
            echo "setup: Rust $have is too old: this needs $want or later (rustup update stable)" >&2
            exit 69
        fi
        ;;
esac

[ -n "$missing" ] || exit 0

list=
for need in $missing; do list="$list $(packages "$need")"; done
list=$(printf '%s\n' $list | sort -u | tr '\n' ' ')

if [ "$(id -u)" != 0 ]; then
    echo "setup: missing:$missing. As root: apt-get install ${list% }" >&2
    exit 69
fi
if ! command -v apt-get >/dev/null; then
    echo "setup: missing:$missing, and there is no apt-get: install what Debian calls ${list% }" >&2
    exit 69
fi

export DEBIAN_FRONTEND=noninteractive
echo "setup: installing ${list% }" >&2
apt-get update -qq
case " $list" in
    *" postgresql "*)
        # Debian creates and starts a database cluster with the package, unless this disables it.
        apt-get install -y -qq --no-install-recommends postgresql-common >/dev/null
        sed -i 's/^#*create_main_cluster.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf
        ;;
esac
case " $list" in
    *" nginx-light "*)
        # Debian starts it with the package, on port 80, unless a policy disables it.
        policy=/usr/sbin/policy-rc.d
        if [ -e $policy ]; then policy=; else install -m 755 /dev/stdin $policy <<'EOF'; fi
#!/bin/sh
exit 101
EOF
        trap 'rm -f "$policy"' EXIT
        apt-get install -y -qq --no-install-recommends nginx-light >/dev/null
        rm -f "$policy"
        ;;
esac
# shellcheck disable=SC2086 # a list of packages
apt-get install -y -qq --no-install-recommends $list >/dev/null

for need in $missing; do
    if ! has "$need"; then
        echo "setup: $need is still missing or too old after installing $(packages "$need")" >&2
        exit 69
    fi
done
