#!/usr/bin/env bash
# Every case on a real Kubernetes, made for this run and taken down after it.
#   run.sh BIN IMAGES [CASE...]
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
BIN=$(cd "${1:?usage: run.sh BIN IMAGES [CASE...]}" && pwd)
images=$(cd "${2:?}" && pwd)
shift 2
export BIN IMAGES_FOLDER=$images
# Programs for the host, beside the images.
export BINARIES=${BINARIES:-$here/../target/x86_64-unknown-linux-musl/${PROFILE:-release}}
if [ "${E2E_CONTEXT:-}" != current ]; then
  [ "$(id -u)" = 0 ] || { echo "a cluster of its own needs root; or set E2E_CONTEXT=current" >&2; exit 1; }
  CLUSTER=${E2E_CLUSTER:-$(mktemp -d /tmp/drmwatch-e2e.XXXXXX)}
  export CLUSTER
  trap '[ -n "${E2E_KEEP:-}" ] || bash "$here/cluster/down.sh" "$CLUSTER"' EXIT
  trap 'exit 130' INT TERM
  IMAGES="$images/drmwatch-operator.tar $images/drmwatch-runner.tar $images/drmwatch-bridge.tar $images/drmwatch-world.tar" \
    bash "$here/cluster/up.sh" "$CLUSTER" || exit 1
fi
passed=0 failed=0 skipped=0
for case in "$here"/cases/*/; do
  name=$(basename "$case")
  [ $# -eq 0 ] || [[ " $* " == *" $name "* ]] || continue
  log=$(mktemp)
  started=$SECONDS
  if bash "$case/run.sh" >"$log" 2>&1 </dev/null; then
    # What a case can't do on this cluster it says itself; that is not a pass.
    if why=$(grep -m1 -iE '^skipped: ' "$log"); then
      skipped=$((skipped + 1))
      echo "skip $name: ${why#*: }"
      rm -f "$log"
      continue
    fi
    passed=$((passed + 1))
    echo "ok   $name ($((SECONDS - started)) s)"
    [ -z "${E2E_VERBOSE:-}" ] || sed 's/^/     /' "$log"
  else
    failed=$((failed + 1))
    # The cause first: who reads only the beginning of this has it.
    echo "FAIL $name ($((SECONDS - started)) s): $(grep '^FAIL' "$log" || tail -3 "$log")"
    sed 's/^/     /' "$log" | tail -60
    bash "$here/diagnose.sh" 2>&1 | sed 's/^/     /'
    # What follows builds on what went before.
    break
  fi
  rm -f "$log"
done
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ] && [ $passed -gt 0 ]
