#!/bin/sh
# usage: scripts/record-awscli.sh /path/to/aws
#
# Rewrites the transcripts in fixtures/awscli from a run of this aws-cli v2 against the emulator. To add a case, add an entry
# with its argv. Needs root: aws-cli gets the emulator's CA in a private mount namespace.
set -eu

[ "$#" = 1 ] && [ -x "$1" ] || { sed -n '2p' "$0" | cut -c3- >&2; exit 64; }
cd "$(dirname "$0")/.."
export EICE_AWSCLI="$1" EICE_AWSCLI_RECORD=1
exec cargo test --locked --test e2e aws_shim::aws_cli::both_match_transcripts -- --ignored --nocapture
