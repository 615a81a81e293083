# A maintenance window and an objective, on the real cluster: an outage is alerted, a window that opens mutes it, at the
# window's end what survived fires again; a window that pauses takes the probe out of what is expected, and gives it back.
source "$(dirname "$0")/../../lib.sh"
[ "${E2E_CONTEXT:-}" != current ] || { echo "SKIPPED: needs the cluster's own network"; exit 0; }
source "$root/e2e/prometheus.sh"
tenant
work=$CLUSTER/maintenance
mkdir -p "$work"
k -n $tenant_ns patch monitoredtenant acme --type=merge -p '{"spec":{"objectives":[{"name":"up","target":"99.9%","availability":{}}]}}'
await 30 "the objective has become rules, with a word of caution" condition_is monitoredtenant acme ObjectivesReady "True Caution"
k -n $tenant_ns get monitoredtenant acme -o jsonpath='{.status.conditions[?(@.type=="ObjectivesReady")].message}{"\n"}'
[ "$(k -n $tenant_ns get configmap -l drmwatch.io/rules=true -o name)" = configmap/drmwatch-acme ] || fail "the label that sidecars look for"
k -n $tenant_ns get configmap drmwatch-acme -o jsonpath='{.data.acme\.acme\.yaml}' >"$work/objectives.yaml"
# The waits of an operations centre, shortened for a test.
for part in infrastructure regional; do sed 's/: 2m$/: 4s/' "$root/charts/drmwatch/files/rules/$part.yaml" >"$work/$part.yaml"; done
prometheus_up "$work" 2 'rule_files: [infrastructure.yaml, regional.yaml, objectives.yaml]'
passes() { query 'drmwatch:probe_passes:region{probe="acme-news"} == 1'; }
await 60 "the probe passes, by the rules" passes
budget() { query 'slo:objective:ratio{sloth_slo="up-acme-news"} == 0.999'; }
await 60 "the objective is told of each probe" budget
world PUT /admin/faults/freeze
fires() { query 'ALERTS{alertname="LiveEdgeStale",probe="acme-news",alertstate="firing"}'; }
await 90 "the outage is alerted" fires
window() { # NAME SECONDS EFFECTS
  k apply -f - <<YAML
apiVersion: drmwatch.io/v1alpha1
kind: MaintenanceWindow
metadata: {name: $1, namespace: $tenant_ns}
spec:
  description: change 4711
  requestedBy: ada
  probes: [acme-news]
  effects: [$3]
  once: {start: "$(date -u +%FT%TZ)", end: "$(date -u -d "+$2 seconds" +%FT%TZ)"}
YAML
}
window quiet 25 "Mute, ExcludeFromSla"
await 20 "the window is open" condition_is maintenancewindow quiet Active "True Open"
k -n $tenant_ns get maintenancewindows
muted() { query 'drmwatch_maintenance{probe="acme-news",effect="Mute",window="quiet"} == 1' && ! fires; }
await 20 "nobody is alerted" muted
opened() { k -n $tenant_ns get events --field-selector reason=Open -o jsonpath='{.items[*].message}{.items[*].note}' | has "asked for by ada"; }
await 10 "an Event says who asked for it" opened
await 60 "the window is over" condition_is maintenancewindow quiet Active "False Over"
await 60 "what survived it is alerted" fires
world DELETE /admin/faults/freeze
healed() { ! fires; }
await 120 "it heals" healed
expected() { query 'drmwatch_probe_info{probe="acme-news"}'; }
window rest 15 Pause
rests() { ! expected && query 'drmwatch_maintenance{probe="acme-news",effect="Pause"} == 1'; }
await 20 "the probe rests, and nobody expects it" rests
await 60 "it is expected again" expected
await 60 "and passes" passes
! query 'ALERTS{alertname="ProbeNoData",alertstate="firing"}' >/dev/null || fail "a pause was called silence"
k -n $tenant_ns delete maintenancewindow quiet rest
# Where it is asked for, the API server holds an author to the name.
helm upgrade drmwatch "$root/charts/drmwatch" -n $system --reset-then-reuse-values --set maintenanceWindows.verifyRequester=true --wait --timeout 120s >/dev/null
forged() { [[ $(window forged 15 Mute 2>&1) == *"spec.requestedBy must be who asks: "* ]]; }
await 30 "a window in another's name is refused" forged
k() { if [ "$1" = apply ]; then set -- --as=ada --as-group=system:masters "$@"; fi; inside env KUBECONFIG="$CLUSTER/admin.kubeconfig" "$BIN/kube" kubectl "$@"; }
window own 15 Mute
k -n $tenant_ns label maintenancewindow own anybody=may
k -n $tenant_ns delete maintenancewindow own
base_values
k -n $tenant_ns patch monitoredtenant acme --type=json -p '[{"op":"remove","path":"/spec/objectives"}]'
gone() { ! k -n $tenant_ns get configmap drmwatch-acme; }
await 30 "without objectives there are no rules" gone
tenant_leaves
