#!/bin/sh
# usage: scripts/soak.sh LOG
#
# Runs the tests that are marked `ignored` because they take long, optimised, and keeps what they say.
set -eu
log=${1:?usage: scripts/soak.sh LOG}
{
    echo "# $(git describe --always --dirty 2>/dev/null || echo unversioned), $(rustc --version), $(nproc) cores, $(uname -sr)"
    if cargo test --locked --release --test e2e -- --ignored --nocapture --test-threads=1 2>&1; then
        echo '# passed'
    else
        echo '# FAILED'
    fi
} | tee "$log"
[ "$(tail -n1 "$log")" = '# passed' ]
