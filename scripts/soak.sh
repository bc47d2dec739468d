#!/bin/sh
# usage: scripts/soak.sh LOG
#
# Runs the end-to-end tests in a loop (SOAK_ROUNDS, 20), including the slow ones marked `ignored`. It detects rare failures
# and slow leaks, and keeps the output.
set -eu
log=${1:?usage: scripts/soak.sh LOG}
rounds=${SOAK_ROUNDS:-20}

# What faulty tests could leave on this machine.
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
        cargo test --locked --quiet --test e2e -- --include-ignored --skip aws_shim::aws_cli || return 1
    done
    # The engine of the last round ends after it.
    n=0
    while [ "$(left)" != "$before" ]; do
        n=$((n + 1))
        [ "$n" -le 60 ] || { echo "left behind: $(left)"; return 1; }
        sleep 1
    done
}

{ if soak 2>&1; then echo '# passed'; else echo '# FAILED'; fi; } | tee "$log"
[ "$(tail -n1 "$log")" = '# passed' ]
