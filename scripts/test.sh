#!/usr/bin/env bash
# Everything that must hold (`make test`), in as little time as two cores allow: what e2e needs is built beside the tests,
# which mostly wait, and takes only what they leave. Ends with a table of the phases.
set -uo pipefail
phases=${PHASES:-$(mktemp)}
status=0
phase() { # NAME COMMAND...
  local name=$1 began=$SECONDS; shift
  echo "== $name"
  "$@" || { status=1; echo "FAIL $name"; }
  printf '%s\t%s\n' "$name" $((SECONDS - began)) >>"$phases"
}
make="${MAKE:-make} --no-print-directory"
# rustup installs the toolchain at the first call, and must not be called twice at that.
cargo --version >/dev/null || exit 1
log=$(mktemp)
nice -n 19 $make prepare >"$log" 2>&1 &
prepare=$!
# A test that fails must not leave a build behind.
trap 'kill $prepare 2>/dev/null; rm -f "$log"' EXIT
prepared() { wait $prepare || { tail -50 "$log"; return 1; }; }
phase unit $make unit
phase packagers $make packagers
phase chart $make chart
phase "tools and images, what is left of them" prepared
phase e2e $make e2e
echo "== phases"
awk -F'\t' '{printf "%6d s  %s\n", $2, $1; all += $2} END {printf "%6d s  in all\n", all}' "$phases"
[ -n "${PHASES:-}" ] || rm -f "$phases"
exit $status
