#!/bin/sh
# usage: scripts/soak.sh LOG
#
# Runs the end-to-end tests again and again (SOAK_ROUNDS, 20), and those that are marked `ignored` because they take
# long: what fails once in many times, or leaves a little behind each time, shows here. Keeps what was said.
set -eu
log=${1:?usage: scripts/soak.sh LOG}
rounds=${SOAK_ROUNDS:-20}

# What the tests may leave behind on this machine, were they careless.
left() {
    ls -d /run/eice-* 2>/dev/null || true
    grep -o '^eice[^:]*' /etc/passwd /etc/group || true
}

soak() {
    echo "# $(git describe --always --dirty 2>/dev/null || echo unversioned), $(rustc --version), $(nproc) cores, $(uname -sr)"
    before=$(left)
    round=0
    while [ "$round" -lt "$rounds" ]; do
        round=$((round + 1))
        echo "# round $round of $rounds"
        cargo test --locked --quiet --test e2e -- --include-ignored --skip aws_shim::beside || return 1
    done
    # The engine that the last round shared is ended behind it.
    n=0
    while [ "$(left)" != "$before" ]; do
        n=$((n + 1))
        [ "$n" -le 60 ] || { echo "left behind: $(left)"; return 1; }
        sleep 1
    done
}

{ if soak 2>&1; then echo '# passed'; else echo '# FAILED'; fi; } | tee "$log"
[ "$(tail -n1 "$log")" = '# passed' ]
