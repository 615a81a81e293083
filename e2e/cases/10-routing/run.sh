# The real Prometheus Operator takes what the chart and the operator write: it scrapes by the PodMonitors, evaluates the
# PrometheusRules, and routes by the AlertmanagerConfigs, so that each tenant hears of its own incident in Slack's form, and
# one has a ticket in (a) Zendesk, by the bridge. It heals; the message is resolved, the ticket solved.
source "$(dirname "$0")/../../lib.sh"
[ "${E2E_CONTEXT:-}" != current ] || { echo "SKIPPED: needs the cluster's own network"; exit 0; }
here=$root/e2e/cases/10-routing
tenant
k apply --server-side -f "$BIN/prometheus-operator-crds" >/dev/null
k wait --for=condition=Established crd/alertmanagerconfigs.monitoring.coreos.com crd/prometheusrules.monitoring.coreos.com --timeout=30s >/dev/null
for image in prometheus-operator prometheus-config-reloader prometheus alertmanager; do
  ctr -a "$CLUSTER/containerd.sock" -n k8s.io images import "$BIN/$image.tar" >/dev/null
done
k -n $system create secret generic drmwatch-bridge --from-literal=key=the-key-of-the-bridge-in-the-tests-0001 \
  --from-literal=client-id=drmwatch --from-literal=client-secret=zendesk-client-secret
helm upgrade drmwatch "$root/charts/drmwatch" -n $system --reset-then-reuse-values \
  --set monitoring.podMonitor=true --set monitoring.labels.watched-by=main --set rules.prometheusRule=true --set rules.configMap=false \
  --set rules.runbooks=https://runbooks.example --set grafana.url=https://grafana.example --set alerting.alertmanagerConfig=true \
  --set bridge.enabled=true --set bridge.zendesk.url=http://world.$world_ns.svc.cluster.local:8080 --set bridge.allowHttp=true \
  --set bridge.storage.className=- --set 'bridge.alertmanagers={http://alertmanager-operated.monitoring.svc.cluster.local:9093}' \
  --wait --timeout 180s >/dev/null
k -n $system rollout status statefulset/drmwatch-bridge --timeout=60s
k apply -f "$here/monitoring.yaml" >/dev/null
k apply -f "$here/tenants.yaml" >/dev/null
await 60 "a webhook whose Secret is not there is told" condition_is monitoredtenant acme AlertingReady "False UnknownSecret"
k -n $tenant_ns get monitoredtenant acme -o jsonpath='{.status.conditions[?(@.type=="AlertingReady")].message}{"\n"}'
k -n $tenant_ns get alertmanagerconfig drmwatch-acme -o json | jq -e '[.spec.receivers[].name] == ["nobody", "zendesk"]' >/dev/null || fail "tickets must not wait for Slack"
k -n $tenant_ns create secret generic acme-slack --from-literal=url=http://world.$world_ns.svc.cluster.local:8080/slack/acme
await 60 "it heals when the Secret is there" condition_is monitoredtenant acme AlertingReady "True Configured"
await 60 "the objective has become a PrometheusRule" k -n $tenant_ns get prometheusrule drmwatch-acme
# The waits of an operations centre, shortened for a test.
k -n $system get prometheusrule drmwatch-regional -o json | jq 'del(.metadata.managedFields, .metadata.resourceVersion)' |
  sed 's/"2m"/"4s"/' | k apply --server-side --force-conflicts --field-manager=e2e -f - >/dev/null
await 120 "Prometheus and Alertmanager run" k -n monitoring wait --for=condition=Ready pod/prometheus-main-0 pod/alertmanager-main-0 --timeout=1s
prometheus() { k -n monitoring get pod prometheus-main-0 -o jsonpath='{.status.podIP}'; }
query() { inside curl -fsS "http://$(prometheus):9090/api/v1/query" --data-urlencode "query=$1" | jq -e ".data.result | length >= ${2:-1}"; }
await 90 "every pod of ours is scraped by a PodMonitor" query 'up{job=~".*drmwatch.*"} == 1' 6
await 60 "the shipped rules speak" query 'drmwatch:probe_passes:region == 1' 3
await 90 "the tenant's objective speaks" query 'slo:objective:ratio{sloth_slo="up-acme-news"} == 0.99'
generated() {
  k -n monitoring get secret alertmanager-main-generated -o jsonpath='{.data.alertmanager\.yaml\.gz}' | base64 -d | gunzip >"$CLUSTER/alertmanager.yml"
  grep -q other/drmwatch-other/slack "$CLUSTER/alertmanager.yml" && grep -q acme/drmwatch-acme/slack "$CLUSTER/alertmanager.yml"
}
await 60 "the Prometheus Operator takes both AlertmanagerConfigs" generated
goes() { amtool config routes test --config.file="$CLUSTER/alertmanager.yml" alertname=LiveEdgeStale "$@" 2>/dev/null; }
same() { [ "$1" = "$2" ] || fail "routed to $1, expected $2"; }
same "$(goes namespace=acme tenant=acme severity=page)" acme/drmwatch-acme/slack,acme/drmwatch-acme/zendesk
same "$(goes namespace=acme tenant=acme severity=ticket)" acme/drmwatch-acme/slack
same "$(goes namespace=other tenant=other severity=page)" other/drmwatch-other/slack
same "$(goes namespace=other tenant=acme severity=page)" null
echo "seen: amtool routes each tenant's alert to that tenant alone"
# What tells each pod of Alertmanager has a token of that tenant's, and no more.
token=$(k -n $tenant_ns get secret drmwatch-bridge-acme -o jsonpath='{.data.token}' | base64 -d)
bridge="http://$(k -n $system get service drmwatch-bridge -o jsonpath='{.spec.clusterIP}'):9467"
refused() { [ "$(inside curl -s -o /dev/null -w '%{http_code}' -H "authorization: Bearer $token" -d '{}' "$bridge/v1/alerts/other/other")" = 401 ]; }
refused || fail "a tenant's token opens another's tickets"
world PUT /admin/faults/freeze >/dev/null
message() { # WEBHOOK BEGINNING TEXT
  world GET /slack | jq -e --arg w "$1" --arg b "$2" --arg t "$3" \
    '[.[] | select(.webhook == $w) | .attachments[0] | select((.title | startswith($b)) and (.text | contains($t)))] | length > 0'
}
await 120 "acme hears of its incident" message acme "PAGE LiveEdgeStale: acme/acme-news" "acme/acme-news stands still in e2e: ManifestStale at step stream"
await 60 "other hears of its own" message other "PAGE LiveEdgeStale: other/other-news" "other/other-news stands still in e2e: ManifestStale at step stream"
words() { message acme "PAGE LiveEdgeStale" "Whose: the packager or the origin." && message acme PAGE "<https://runbooks.example/LiveEdgeStale.md|Runbook> | <https://grafana.example/d/drmwatch-probe?var-tenant=acme&var-probe=acme-news|Dashboard>"; }
await 30 "in words, and with links" words
ticket() { world GET /admin/zendesk | jq -e --arg s "$1" '[.tickets[] | select(.subject == "LiveEdgeStale: acme/acme-news" and .status == $s)] | length == 1'; }
await 60 "and has one ticket" ticket new
world GET /admin/zendesk | jq -e '[.tickets[] | select(.subject | contains("other"))] == [] and .mail == [] and
  ([.tickets[] | .organization_id] | unique) == [360001] and (.tickets | all(.tags | index("gold")))' >/dev/null || fail "a ticket that is not to be, or not so"
world DELETE /admin/faults/freeze >/dev/null
await 150 "the message is resolved, and says how long it lasted" message acme "RESOLVED LiveEdgeStale: acme/acme-news" " for "
await 120 "the ticket is solved" ticket solved
mixed() { world GET /slack | jq -e '[.[] | select((.webhook == "acme" and (.attachments[0].text | contains("other/"))) or (.webhook == "other" and (.attachments[0].text | contains("acme/"))))] | length > 0'; }
! mixed >/dev/null || fail "somebody heard of another's incident"
indent='def indent($by): split("\n") | map($by + .) | join("\n");'
echo; echo "A message, as Slack gets it:"
world GET /slack | jq -r "$indent"'[.[] | select(.webhook == "acme") | .attachments[0]] | (map(select(.title | startswith("PAGE")))[0], map(select(.title | startswith("RESOLVED")))[0]) | "\n  \(.title)\n\(.text | indent("  "))"'
echo; echo "The ticket, as Zendesk has it:"
world GET /admin/zendesk | jq -r "$indent"'.tickets[] | select(.subject == "LiveEdgeStale: acme/acme-news") | "  #\(.id) \(.subject) [\(.priority), \(.status)] \(.tags | map(select(startswith("drmwatch-state") | not)) | join(", "))", (.comments[] | "  \(.created_at)\(if .public then "" else " (internal)" end)\n\(.body | indent("    "))")'
# What that Prometheus has seen is what dashboards ask about.
source "$here/dashboards.sh"

k -n other delete monitoredtenant other --wait --timeout=60s
k delete namespace other --wait --timeout=60s
k -n $tenant_ns patch monitoredtenant acme --type=json -p '[{"op":"remove","path":"/spec/alerting"}, {"op":"remove","path":"/spec/objectives"}]'
k delete -f "$here/monitoring.yaml" --wait --timeout=90s >/dev/null
k -n $system delete secret drmwatch-bridge
base_values
tenant_leaves
k delete -f "$BIN/prometheus-operator-crds" --wait --timeout=60s >/dev/null
