#!/bin/sh
# usage: scripts/record-awscli.sh /path/to/aws
#
# Writes the transcripts in fixtures/awscli anew, from a run of this aws-cli v2 against the emulator. A new case is an
# entry with its argv alone. As root: aws-cli sees the emulator's authority in a mount namespace.
set -eu

[ "$#" = 1 ] && [ -x "$1" ] || { sed -n '2p' "$0" | cut -c3- >&2; exit 64; }
cd "$(dirname "$0")/.."
export EICE_AWSCLI="$1" EICE_AWSCLI_RECORD=1
exec cargo test --locked --test e2e aws_shim::beside::aws_cli -- --ignored --nocapture
