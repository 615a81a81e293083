#!/usr/bin/env bash
# Where the CPU time of a probe goes: the engine's bench, ours alone, under perf. Writes docs/profiles, so that the next
# person can see it and hold a change against it.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo bench --quiet --profile profiling -p drmwatch-probe --bench engine --no-run
program=$(ls -t target/profiling/deps/engine-* | grep -v '\.d$' | sed -n 1p)
mkdir -p docs/profiles
for scheme in http https; do
  data=$(mktemp)
  # A virtual machine may have no counter of cycles: the clock is one.
  ENGINE_PROFILE=$scheme perf record --quiet --event cpu-clock --freq 4000 --output "$data" "$program" --bench >/dev/null 2>&1
  {
    echo "# CPU time of 8,000 $scheme probes by symbol, from 0.4 % on; the engine's thread, kernel included. make profile."
    echo "# $(date -u +%F), commit $(git rev-parse --short HEAD), $(sed -n 's/^model name\s*: //p' /proc/cpuinfo | sed -n 1p), Linux $(uname -r)"
    perf report --input "$data" --stdio --no-children --comm "$(basename "$program" | cut -c1-15)" --percentage relative --sort symbol --percent-limit 0.4 2>/dev/null |
      sed -E '/^#/d; /^$/d; s/[ -]+$//'
  } >"docs/profiles/engine-$scheme.txt"
  rm "$data"
done
echo "written: docs/profiles"
