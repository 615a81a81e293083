#!/usr/bin/env bash
# The cases, each by itself, on real Kubernetes clusters made for this run and taken down after it.
#   run.sh BIN IMAGES [CASE...]     a case by its name or its number
# E2E_JOBS=2     so many clusters, each with one case at a time
# E2E_CLUSTER=D  a cluster that is there (`make e2e-cluster`), which is kept
# E2E_CONTEXT=current   the cluster of the current kubeconfig
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
BIN=$(cd "${1:?usage: run.sh BIN IMAGES [CASE...]}" && pwd)
images=$(cd "${2:?}" && pwd)
shift 2
export BIN IMAGES_FOLDER=$images
# Programs for the host, beside the images.
export BINARIES=${BINARIES:-$here/../target/x86_64-unknown-linux-musl/${PROFILE:-release}}
work=$(mktemp -d /tmp/drmwatch-e2e.XXXXXX)

# --- which cases: those that take longest begin first, so that none of them is left alone at the end ---
longest="00-getting-started 07-chaos 08-scale 12-results 10-routing"
all=$longest
for case in "$here"/cases/*/run.sh; do
  name=$(basename "$(dirname "$case")")
  [[ " $longest " == *" $name "* ]] || all+=" $name"
done
wanted=()
for name in $all; do
  if [ $# -eq 0 ]; then wanted+=("$name"); continue; fi
  for one in "$@"; do
    [ "$name" != "$one" ] && [[ $name != "$one"-* ]] || { wanted+=("$name"); break; }
  done
done
[ ${#wanted[@]} -gt 0 ] || { echo "no such case: $*; there are: $all" >&2; exit 2; }
[ $# -eq 0 ] || [ ${#wanted[@]} -ge $# ] || { echo "not all of these are cases: $*" >&2; exit 2; }

# --- clusters ---------------------------------------------------------------------------------------
jobs=${E2E_JOBS:-2}
[ "$jobs" -le ${#wanted[@]} ] || jobs=${#wanted[@]}
if [ "${E2E_CONTEXT:-}" = current ] || [ -n "${E2E_CLUSTER:-}" ]; then jobs=1; else
  [ "$(id -u)" = 0 ] || { echo "a cluster of its own needs root; or set E2E_CONTEXT=current" >&2; exit 1; }
fi
export IMAGES="$images/drmwatch-operator.tar $images/drmwatch-runner.tar $images/drmwatch-bridge.tar $images/drmwatch-world.tar"
up() { [ "${E2E_CONTEXT:-}" = current ] || [ -n "${E2E_CLUSTER:-}" ] || bash "$here/cluster/up.sh" "$CLUSTER"; }
down() { [ "${E2E_CONTEXT:-}" = current ] || [ -n "${E2E_CLUSTER:-}" ] || bash "$here/cluster/down.sh" "$CLUSTER"; }
finish() {
  local lane
  for lane in "$work"/lane.*/cluster; do [ ! -d "$lane" ] || CLUSTER=$lane down; done
  rm -rf "$work"
}
stop_lanes() { local pids; pids=$(jobs -p); [ -z "$pids" ] || kill $pids 2>/dev/null; }
trap 'stop_lanes; finish' EXIT
trap 'exit 130' INT TERM

# next: takes a case from the list, which all lanes share
printf '%s\n' "${wanted[@]}" >"$work/list"
next() { (flock 9; sed -n 1p "$work/list"; sed -i 1d "$work/list") 9>"$work/lock"; }
# What a case says is printed in one piece.
print() { (flock 9; cat) 9>"$work/print"; }

run_case() { # NAME
  local name=$1 log=$CLUSTER.log started=$SECONDS status=0 why took
  bash "$here/cases/$name/run.sh" >"$log" 2>&1 </dev/null || status=$?
  # What a case can't do on this cluster it says itself; that is not a pass.
  if [ $status = 0 ] && why=$(grep -m1 -iE '^skipped: ' "$log"); then
    echo skipped >>"$work/results"
    echo "skip $name: ${why#*: }" | print
    return
  fi
  if [ $status = 0 ] && ! bash "$here/left.sh" >>"$log" 2>&1; then status=1; fi
  took=$((SECONDS - started))
  if [ $status = 0 ]; then
    echo passed >>"$work/results"
    { echo "ok   $name ($took s)"; [ -z "${E2E_VERBOSE:-}" ] || sed 's/^/     /' "$log"; } | print
    return
  fi
  echo failed >>"$work/results"
  # The cause first: who reads only the beginning of this has it.
  {
    echo "FAIL $name ($took s): $(grep '^FAIL' "$log" || tail -3 "$log")"
    sed 's/^/     /' "$log" | tail -60
    bash "$here/diagnose.sh" 2>&1 | sed 's/^/     /'
  } | print
  # The next case must not meet what this one has left.
  [ -s "$work/list" ] || return 0
  if [ -n "${E2E_CLUSTER:-}" ]; then echo "     the cluster is as this case left it" | print; else down; up || return 1; fi
}
lane() { # NUMBER
  local name
  export CLUSTER=${E2E_CLUSTER:-$work/lane.$1/cluster}
  mkdir -p "$(dirname "$CLUSTER")"
  up >"$work/up.$1" 2>&1 || { echo failed >>"$work/results"; { echo "FAIL cluster $1: did not start"; cat "$work/up.$1"; } | print; return; }
  while name=$(next) && [ -n "$name" ]; do
    run_case "$name" || { echo "FAIL cluster $1: did not start again" | print; echo failed >>"$work/results"; return; }
  done
  # Cores are for those that go on.
  down
}
touch "$work/results"
for number in $(seq "$jobs"); do lane "$number" & done
wait
count() { grep -c "^$1" "$work/results"; }
echo "$(count passed) passed, $(count failed) failed, $(count skipped) skipped"
[ "$(count failed)" = 0 ] && [ "$(count passed)" -gt 0 ] && [ ! -s "$work/list" ]
