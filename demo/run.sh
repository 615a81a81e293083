#!/usr/bin/env bash
# The main job on an embedded default: a world to probe and the standalone runner, on loopback. Breaks
# the live edge before the user's eyes, then heals it. Runs until Ctrl-C; with DEMO_SECONDS it ends by
# itself, with 0 only if the break was seen under its right name and the healing too.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=${1:?usage: run.sh FOLDER-WITH-BINARIES}
world=http://127.0.0.1:8088 metrics=http://127.0.0.1:9464/metrics
pids=()
stop() { for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done; wait 2>/dev/null || true; }
trap stop EXIT
trap 'exit 130' INT TERM

"$bin/drmwatch-world" >/dev/null &
pids+=($!)
until curl -fs "$world/healthz" >/dev/null; do [ $SECONDS -lt 20 ] || { echo "the world does not start" >&2; exit 1; }; sleep 0.1; done
DRMWATCH_LOG=${DRMWATCH_LOG:-error} "$bin/drmwatch-runner" demo/probes --allow-cidr 127.0.0.0/8 --table &
runner=$!
pids+=("$runner")

# The value of drmwatch_probe_success of a probe, or nothing.
success() { curl -fs "$metrics" | sed -n "s/^drmwatch_probe_success{.*probe=\"$1\".*} //p" | sed -n 1p; }
await() { # what, value, probe, limit
  local deadline=$((SECONDS + $4))
  until [ "$(success "$3" || true)" = "$2" ]; do
    kill -0 "$runner" 2>/dev/null || { echo "the runner has ended" >&2; exit 1; }
    [ $SECONDS -lt $deadline ] || { echo "not seen in $4 s: $1" >&2; exit 1; }
    sleep 0.2
  done
}
# The table redraws itself in place, at most eleven lines up from the cursor: on a terminal the text gets
# that much room below it, and the table as it was stays above.
say() { printf '\n>>> %s\n\n' "$*"; [ ! -t 1 ] || printf '\n%.0s' {1..11}; }

await "every probe passes" 1.0 acme-cinema 30
await "every probe passes" 1.0 acme-news-hls 30
say "All pass. Now the origin freezes: the live edge stands still (curl -X PUT $world/admin/faults/freeze)"
curl -fs -X PUT "$world/admin/faults/freeze" >/dev/null
await "the frozen edge" 0.0 acme-news-hls 60
await "the frozen edge" 0.0 acme-news-dash 60
curl -fs "$metrics" | grep 'drmwatch_probe_failure_info{.*probe="acme-news-hls".*reason="ManifestStale"' | cat >/dev/null ||
  { echo "the break was seen under another name than ManifestStale" >&2; exit 1; }
say "Seen, as ManifestStale. Now it heals."
curl -fs -X DELETE "$world/admin/faults/freeze" >/dev/null
await "the healing" 1.0 acme-news-hls 60
await "the healing" 1.0 acme-news-dash 60
say "Healed. Metrics: $metrics   More faults: curl $world/admin/faults"
if [ -n "${DEMO_SECONDS:-}" ]; then
  [ $SECONDS -ge "$DEMO_SECONDS" ] || sleep $((DEMO_SECONDS - SECONDS))
  exit 0
fi
wait "$runner"
