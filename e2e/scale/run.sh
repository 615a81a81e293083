#!/usr/bin/env bash
# The operator's bench beside a real control plane, in a network namespace of its own.   run.sh BIN
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
BIN=$(cd "${1:?usage: run.sh BIN}" && pwd)
export BIN
cluster=$(mktemp -d /tmp/drmwatch-scale.XXXXXX)
trap 'bash "$here/cluster/down.sh" "$cluster"' EXIT
trap 'exit 130' INT TERM
cd "$here/.."
cargo build --quiet --release -p drmwatch-runner
cargo bench --quiet -p drmwatch-operator --bench scale --no-run
CONTROL_PLANE_ONLY=1 bash "$here/cluster/up.sh" "$cluster"
nsenter --net="/var/run/netns/$(cat "$cluster/netns")" env KUBECONFIG="$cluster/admin.kubeconfig" \
  RUNNER="$PWD/target/release/drmwatch-runner" cargo bench --quiet --offline -p drmwatch-operator --bench scale
