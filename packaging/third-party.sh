#!/bin/sh
# usage: packaging/third-party.sh
#
# Prints the name, version and license of every linked crate, and the text of each license once.
set -eu
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# "name vVERSION …", the form of each line of the tree.
cargo tree --locked -p eice --all-features -e normal,no-proc-macro --prefix none --format '{p}' |
    awk '{ print $1, substr($2, 2) }' | LC_ALL=C sort -u >"$work/linked"
cargo metadata --locked --format-version 1 --all-features \
    --filter-platform "$(rustc -vV | sed -n 's/^host: //p')" | jq -r '
    .packages[] | select(.source) | "\(.name) \(.version)\t\(.license // "see its text")\t\(.manifest_path)"' |
    LC_ALL=C sort -u >"$work/known"

echo "eice is linked with these crates."
echo
tab=$(printf '\t')
LC_ALL=C join -t "$tab" "$work/linked" "$work/known" >"$work/crates"
while IFS=$tab read -r crate licence manifest; do
    echo "$crate: $licence"
    for file in "${manifest%/*}"/LICEN[CS]E* "${manifest%/*}"/COPYING* "${manifest%/*}"/NOTICE*; do
        [ -f "$file" ] || continue
        text=$work/$(sha256sum "$file" | cut -d' ' -f1).text
        [ -f "$text" ] || cp "$file" "$text"
        echo "$crate" >>"$text.of"
    done
done <"$work/crates"

for text in "$work"/*.text; do
    printf '\n\n%s\n' "------------------------------------------------------------------------"
    cat "$text.of"
    echo
    cat "$text"
done
