#!/usr/bin/env bash
# Runs each fuzz target from its seeds: fuzz/run.sh [TARGET …]
#   FUZZ_SECONDS  the duration of each (default 30)
# libFuzzer needs flags that only a nightly compiler accepts; RUSTC_BOOTSTRAP makes the stable one accept them. The address
# sanitizer is disabled: unsafe code is forbidden, and without it a run tries several times as many inputs.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${FUZZ_SECONDS:-30}
case $seconds in '' | *[!0-9]* | 0) echo "FUZZ_SECONDS must be a number of seconds, not '$seconds'" >&2; exit 64 ;; esac

if ! cargo fuzz --version >/dev/null 2>&1; then
  echo "installing cargo-fuzz" >&2
  cargo install cargo-fuzz --locked --version '^0.13'
fi

targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
  for file in fuzz_targets/*.rs; do targets+=("$(basename "$file" .rs)"); done
fi

export RUSTC_BOOTSTRAP=1
cd ..
for target in "${targets[@]}"; do
  [ -d "fuzz/seeds/$target" ] || { echo "fuzz/seeds/$target is missing" >&2; exit 64; }
  mkdir -p "fuzz/corpus/$target"
  echo "== $target, $seconds s" >&2
  # New inputs go to the first directory, which is not committed; the seeds are only read.
  cargo fuzz run --fuzz-dir fuzz --sanitizer none "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- \
    -max_total_time="$seconds" -max_len=8192 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1
done
