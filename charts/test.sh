#!/usr/bin/env bash
# The chart before its real judges: helm lint, its schema, goldens of what it renders, promtool on its
# rules. UPDATE=1 rewrites the goldens.   test.sh BIN
set -euo pipefail
bin=$(cd "${1:?usage: test.sh BIN}" && pwd)
cd "$(dirname "$0")/drmwatch"
helm=$bin/helm
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
# `helm template` leaves NOTES.txt out: here the notes are the value of a ConfigMap.
noted=$(mktemp -d)
trap 'rm -rf "$noted"' EXIT
cp -R Chart.yaml values.yaml values.schema.json files templates "$noted"
{ echo '{{- define "notes" -}}'; cat templates/NOTES.txt; echo '{{- end -}}'; } >"$noted/templates/_notes.tpl"
printf 'notes: |\n{{ include "notes" . | indent 2 }}\n' >"$noted/templates/notes.yaml"
notes() { "$helm" template drmwatch "$noted" -n drmwatch-system -s templates/notes.yaml "${kube[@]}" "$@" | sed '1,/^notes: |$/d; s/^  //'; }
for example in examples/*.yaml; do
  name=$(basename "$example" .yaml)
  said=$(notes -f "$example")
  [ -z "${UPDATE:-}" ] || echo "$said" >"tests/golden/$name.notes.txt"
  diff -u "tests/golden/$name.notes.txt" <(echo "$said") || { echo "the notes of $name are others; run make generate"; exit 1; }
  ok "notes of $name"
done
warned() { # text, yes or no, flags
  local text=$1 expected=$2 said; shift 2
  said=$(notes --set region=eu "$@")
  if grep -qF "$text" <<<"$said"; then [ "$expected" = yes ]; else [ "$expected" = no ]; fi || { echo "notes: '$text' expected: $expected, with $*:"; echo "$said"; exit 1; }
  ok "notes: $expected '$text' with ${*:-defaults}"
}
warned "public addresses only" yes
warned "public addresses only" no --set 'runners.pool.egress.allowCidrs={10.0.0.0/8}'
warned "No alert rules are installed" no
warned "No alert rules are installed" yes --set rules.configMap=false
warned "image.pullSecrets is empty" yes --set image.repository=registry.example/team
warned "image.pullSecrets is empty" no --set image.repository=registry.example/team --set 'image.pullSecrets[0].name=pull'
warned "image.repository is localhost" yes
warned "NetworkPolicies are off" yes --set networkPolicy.enabled=false
warned "The pool has no runners" yes --set runners.pool.replicas=0
refused() { # what, expected, flags
  local what=$1 expected=$2 said; shift 2
  if said=$("$helm" template x . "${kube[@]}" "$@" 2>&1); then echo "accepted: $what"; exit 1; fi
  grep -q "$expected" <<<"$said" || { echo "$what: $said"; exit 1; }
  ok "refused: $what"
}
refused "no region" region
refused "an unknown value" "regoin" --set region=eu --set regoin=eu
refused "a scope that there is none of" scope --set region=eu --set rules.scope=world
refused "a bridge to nowhere" "bridge.zendesk.url must be set" --set region=eu --set bridge.enabled=true
refused "a Zendesk that is no URL" "bridge" --set region=eu --set bridge.zendesk.url=acme
refused "roll-ups of nothing" "there is nothing to make roll-ups of" --set region=eu --set results.consolidation.enabled=true
refused "a reader of nothing" "there is nothing to read" --set region=eu --set results.reader.enabled=true
refused "a copy of nothing" "there is nothing to copy" --set region=eu --set results.postgres.enabled=true
refused "a bad range" "allowCidrs" --set region=eu --set 'runners.pool.egress.allowCidrs={10.0.0.0}'
! grep -nE 'verbs: .*\*|resources: .*\*|apiGroups: .*\*' templates/*.yaml || { echo "a wildcard in RBAC"; exit 1; }
ok "no wildcard in RBAC"
refused "a pull Secret that is no object" pullSecrets --set region=eu --set 'image.pullSecrets={registry}'
refused "a pull Secret that is no name" pullSecrets --set region=eu --set 'image.pullSecrets[0].name=My Registry'
# Everything is switched on here: a template whose pods are not rendered fails the second check.
everything=(-f examples/eu-central.yaml --set 'image.pullSecrets[0].name=one' --set 'image.pullSecrets[1].name=two')
pods=$("$helm" template drmwatch . "${everything[@]}" "${kube[@]}" --include-crds=false | awk '
  function judge() {
    for (i = 1; i <= pods; i++) if (secrets[at[i]] != "one two") { print "forgets image.pullSecrets: " kind " of " source; wrong = 1 }
    pods = 0; delete secrets; key = ""
  }
  /^---/ { judge() }
  /^# Source: / { source = $3; sub(/.*\//, "", source) }
  /^kind: / { kind = $2 }
  # A key at the same depth as the containers, whose items follow it.
  key != "" && match($0, /^ *- name: /) && RLENGTH - 8 >= length(key) { secrets[key] = secrets[key] (secrets[key] == "" ? "" : " ") $3; next }
  { key = "" }
  match($0, /^ *imagePullSecrets:$/) { key = substr($0, 1, index($0, "i") - 1); next }
  match($0, /^ *containers:$/) { at[++pods] = substr($0, 1, index($0, "c") - 1); print source; next }
  /(^|[^a-zA-Z])containers: *[^ ]/ && !/^ *#/ { print "containers in one line can not be checked: " source; wrong = 1 }
  END { judge(); exit wrong }') || { grep ' ' <<<"$pods"; exit 1; }
for file in $(grep -lE '^ *(- )?containers:' templates/*); do
  file=$(basename "$file")
  [ "$(grep -cx "$file" <<<"$pods")" -ge "$(grep -cE '^ *(- )?containers:' "templates/$file")" ] || { echo "pods of $file are not rendered by this test"; exit 1; }
done
ok "image.pullSecrets in all $(wc -l <<<"$pods") pod templates"
dashboards=$("$helm" template drmwatch . --set region=eu --set grafana.sidecar.enabled=true --set grafana.operator.enabled=true "${kube[@]}" -s templates/dashboards.yaml)
count=0
for file in files/dashboards/*.json; do
  name=$(basename "$file" .json)
  # As a ConfigMap for a sidecar, and as an object for the Grafana Operator: both hold what the file does, braces and all.
  for key in "drmwatch-$name.json: |-" "json: |-"; do
    awk -v name="name: drmwatch-" -v key="$key" -v of="$name" '
      /^---/ {on = 0; mine = 0} $0 ~ "name: drmwatch-(dashboard-)?" of "$" {mine = 1}
      mine && index($0, "  " key) == 1 {on = 1; next} on && /^    / {print substr($0, 5)}' <<<"$dashboards" | diff -q - "$file" >/dev/null ||
      { echo "$name is not rendered as it is ($key)"; exit 1; }
    count=$((count + 1))
  done
done
[ $count = 16 ] || { echo "$count dashboards rendered"; exit 1; }
ok "$count dashboards rendered as they are"
mutants=$(mktemp -d)
trap 'rm -rf "$mutants" "$noted"' EXIT
mkdir -p "$mutants/files/rules" "$mutants/tests/objectives"
cp files/rules/*.yaml "$mutants/files/rules"
cp tests/{infrastructure,regional,global,objectives-regional,objectives-global}.yaml "$mutants/tests"
cp tests/objectives/*.yaml "$mutants/tests/objectives"
for part in regional global; do sed "s/PART/$part/" tests/services.yaml >"$mutants/tests/services-$part.yaml"; done
parts=(infrastructure regional global objectives-regional objectives-global)
file_of() { case $1 in objectives-*) echo "tests/objectives/${1#objectives-}.yaml" ;; *) echo "files/rules/$1.yaml" ;; esac; }
tested() { # part, promtool
  local tests change
  for tests in "$mutants/tests/$1.yaml" "$mutants/tests/services-$1.yaml"; do
    [ -e "$tests" ] || continue
    # What differs in Prometheus 3 says so itself.
    change=$(sed -n 's/^# prometheus 3: //p' "$tests")
    if [ "$2" != promtool ] && [ -n "$change" ]; then sed "$change" "$tests" >"$tests.3" && tests=$tests.3; fi
    "$2" test rules "$tests" || return 1
  done
}
for part in "${parts[@]}"; do
  file=$(file_of "$part")
  # Ranges of Prometheus 3 are open on the left, those of Prometheus 2 closed.
  for judge in promtool "$bin/promtool"; do
    "$judge" check rules "$file" >/dev/null 2>&1 || "$judge" check rules "$file"
    tested "$part" "$judge" >/dev/null 2>&1 || tested "$part" "$judge"
  done
  ok "rules of $part checked and unit-tested by promtool of Prometheus 2 and 3"
done
# Tests that can't fail are none: with a metric renamed, a label dropped, or a wait made endless, they must.
survived=0 killed=0
mutant() { # part, sed expression
  local file; file=$(file_of "$1")
  sed "$2" "$file" >"$mutants/$file"
  if cmp -s "$file" "$mutants/$file"; then echo "changes nothing: $1 with $2"; survived=$((survived + 1))
  elif tested "$1" promtool >/dev/null 2>&1; then echo "survived: $1 with $2"; survived=$((survived + 1)); else killed=$((killed + 1)); fi
  cp "$file" "$mutants/$file"
}
for part in "${parts[@]}"; do
  file=$(file_of "$part")
  for metric in $(grep -ohE '\b(drmwatch_[a-z_]+|slo:[a-z_:0-9]+|drmwatch:slo_bad:minute)\b' "$file" | sort -u); do mutant "$part" "s/\\b$metric\\b/${metric}_gone/g"; done
  for label in tenant_namespace tenant probe region; do
    grep -qE "\\b$label, |, $label\\b" "$file" || continue
    [ "$part.$label" != global.tenant_namespace ] || continue
    mutant "$part" "s/\\b$label, //g; s/, $label\\b//g"
  done
  for line in $(grep -nE '^    (for|keep_firing_for):' "$file" | cut -d: -f1); do mutant "$part" "${line}s/: .*/: 50h/"; done
done
[ $survived = 0 ] || { echo "$survived mutants of the rules survived their tests"; exit 1; }
ok "$killed mutants of the rules die in their tests"
for metric in $(grep -ohE 'drmwatch_[a-z_]+' files/rules/*.yaml | sort -u); do
  grep -q "\`$metric\`" ../../docs/metrics.md || { echo "a rule uses $metric, which is not in the catalogue"; exit 1; }
done
ok "every metric in a rule is in the catalogue"
echo "$passed passed, 0 failed"
