#!/usr/bin/env bash
# The chart before its real judges: helm lint, its schema, goldens of what it renders, promtool on its
# rules. UPDATE=1 rewrites the goldens.   test.sh BIN
set -euo pipefail
cd "$(dirname "$0")/drmwatch"
helm=${1:?usage: test.sh BIN}/helm
passed=0
ok() { passed=$((passed + 1)); echo "ok   $*"; }
kube=(--kube-version 1.34.4)
mkdir -p tests/golden
for example in examples/*.yaml; do
  name=$(basename "$example" .yaml)
  "$helm" lint . -f "$example" "${kube[@]}" --strict --quiet
  rendered=$("$helm" template drmwatch . -n drmwatch-system -f "$example" "${kube[@]}" --include-crds=false)
  [ -z "${UPDATE:-}" ] || echo "$rendered" >"tests/golden/$name.yaml"
  diff -u "tests/golden/$name.yaml" <(echo "$rendered") || { echo "the chart renders otherwise; run make generate"; exit 1; }
  ok "lint and golden of $name"
done
refused() { # what, expected, flags
  local what=$1 expected=$2 said; shift 2
  if said=$("$helm" template x . "${kube[@]}" "$@" 2>&1); then echo "accepted: $what"; exit 1; fi
  grep -q "$expected" <<<"$said" || { echo "$what: $said"; exit 1; }
  ok "refused: $what"
}
refused "no region" region
refused "an unknown value" "regoin" --set region=eu --set regoin=eu
refused "a bad range" "allowCidrs" --set region=eu --set 'runners.pool.egress.allowCidrs={10.0.0.0}'
! grep -nE 'verbs: .*\*|resources: .*\*|apiGroups: .*\*' templates/*.yaml || { echo "a wildcard in RBAC"; exit 1; }
ok "no wildcard in RBAC"
promtool check rules files/rules/drmwatch.yaml >/dev/null
promtool test rules tests/rules.yaml >/dev/null || promtool test rules tests/rules.yaml
ok "rules checked and unit-tested by promtool"
for metric in $(grep -ohE 'drmwatch_[a-z_]+' files/rules/*.yaml | sort -u); do
  grep -q "\`$metric\`" ../../docs/metrics.md || { echo "a rule uses $metric, which is not in the catalogue"; exit 1; }
done
ok "every metric in a rule is in the catalogue"
echo "$passed passed, 0 failed"
