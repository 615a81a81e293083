#!/usr/bin/env bash
# Runs every bench and writes docs/benchmarks.md: what was measured, on what, when.   bench.sh BIN
# BENCHES="fleet engine" runs some of them only, and keeps the rest of the page as it is.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=${1:?usage: bench.sh BIN}
page=docs/benchmarks.md out=target/bench
mkdir -p "$out"
all="engine fleet scale results peers memory licences"
for bench in ${BENCHES:-$all}; do
  echo "--- $bench"
  case $bench in
  scale) run=(bash e2e/scale/run.sh "$bin") ;;
  fleet) run=(cargo bench --quiet -p drmwatch-runner --bench fleet) ;;
  results) run=(bash scripts/bench-results.sh) ;;
  peers) run=(cargo bench --quiet -p drmwatch-media --bench peers) ;;
  *) run=(cargo bench --quiet -p drmwatch-probe --bench "$bench") ;;
  esac
  # What a bench logs goes to the terminal; what it finds is on standard output.
  "${run[@]}" 2> >(grep --line-buffered -vE 'WARN|INFO' >&2) | grep --line-buffered -vE 'INFO|^control plane ready' | tee "$out/$bench.new"
  { echo "$(date -u +%F), commit $(git rev-parse --short HEAD)$(git diff --quiet HEAD -- crates operator runner || echo ' and what was not committed yet'), $(nproc) cores of $(sed -n 's/^model name\s*: //p' /proc/cpuinfo | sed -n 1p), $(awk '/MemTotal/ {printf "%.0f GiB", $2 / 1048576}' /proc/meminfo), Linux $(uname -r)"; cat "$out/$bench.new"; } >"$out/$bench.txt"
  rm "$out/$bench.new"
done
section() { # name, title, text
  [ -e "$out/$1.txt" ] || return 0
  printf '\n## %s\n\n%s\n\n%s:\n\n```\n' "$2" "$3" "$(sed -n 1p "$out/$1.txt")"
  sed 1d "$out/$1.txt"
  printf '```\n'
}
{
  printf '# Benchmarks\n\nWritten by `make bench`; do not edit. Each section says when and on what machine it was measured. Ratios are to\npeers in the same run, with their spread over repeated rounds; absolute numbers are of that machine.\n'
  section engine "One probe beside blackbox_exporter and a bare loop" "The same nginx, turn by turn. The aims: 8 times the exporter's probes per CPU-second over http, 4 times over https, 1.5 times the CPU of a loop that only connects and asks. The certificate is one of P-256; the last server also insists on P-256 for the key exchange, so that clients which offer X25519, as ours and browsers do, are asked again."
  section fleet "A fleet on one core" "The real runner, standalone, pinned to one core; the servers on the other. The aims: start lag p99 under 50 ms, 15 points of a core beyond the bare loop, 120 MiB, 4 KiB for an idle probe, a scrape under 300 ms."
  section scale "The operator at ten thousand probes" "A real kube-apiserver and etcd on the same two cores, the real operator and runner. The aims: cold start under 120 s, memory under 150 MiB, nothing written in steady state, a change at its runner in under 2 s (p99)."
  section results "A month of results" "1,000 probes in three regions, once a minute, in 50 tenants: 130 million records, encrypted. The aims: 12 bytes a row of the fixed columns; roll-ups from records in under ten minutes and figures from days in under one, on two cores, below 2 GiB. pyarrow reads the same records and counts runs and failures by probe and minute, which is a part of what consolidation does."
  section peers "Parsers beside m3u8-rs and dash-mpd" "Throughput, allocations and memory on the same manifests."
  section memory "One run of a stream step" "In the virtual world of the tests."
  section licences "Licences" "Parsing, and whole checks beside the RSA operations that they can't do without."
} >"$page"
echo "written: $page"
