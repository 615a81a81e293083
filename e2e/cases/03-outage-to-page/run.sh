# The thread through the whole product: Debian's real Prometheus scrapes the pods, the origin's live edge
# is frozen, the shipped rule fires, Debian's real Alertmanager posts to a Slack-shaped receiver a message
# that names tenant, probe, step, reason and region; it heals; the message is resolved.
source "$(dirname "$0")/../../lib.sh"
[ "${E2E_CONTEXT:-}" != current ] || { echo "skipped: needs the cluster's own network"; exit 0; }
source "$root/e2e/prometheus.sh"
tenant
work=$CLUSTER/alerting
mkdir -p "$work"
# The shipped rules, with the waits of an operations centre shortened for a test.
for part in infrastructure regional; do sed 's/for: 2m/for: 6s/' "$root/charts/drmwatch/files/rules/$part.yaml" >"$work/$part.yaml"; done
slack="http://$(k -n $world_ns get service world -o jsonpath='{.spec.clusterIP}'):8080/slack"
cat >"$work/alertmanager.yml" <<YAML
route: {receiver: slack, group_by: [tenant, probe, alertname], group_wait: 1s, group_interval: 2s, repeat_interval: 1h}
receivers:
- name: slack
  slack_configs:
  - api_url: $slack
    channel: '#acme'
    send_resolved: true
    title: '{{ .Status | toUpper }} {{ .CommonLabels.alertname }}'
    text: '{{ range .Alerts }}{{ .Annotations.summary }}{{ "\n" }}{{ end }}'
YAML
amtool check-config "$work/alertmanager.yml"
start prometheus-alertmanager --config.file="$work/alertmanager.yml" --storage.path="$work/am" --web.listen-address=127.0.0.1:9093 --cluster.listen-address=
prometheus_up "$work" 2 'rule_files: [infrastructure.yaml, regional.yaml]
alerting: {alertmanagers: [{static_configs: [{targets: ["127.0.0.1:9093"]}]}]}'
await 60 "Prometheus scrapes both runners" query 'drmwatch_runner_info' 2
await 30 "every probe passes in Prometheus" query 'drmwatch_probe_success == 1' 2
await 30 "the expected set" query 'drmwatch_probe_info' 2
await 30 "phases" query 'drmwatch_step_phase_duration_seconds_count{phase="first_byte"}' 2
world PUT /admin/faults/freeze
await 60 "the condition names the fault" condition_is drmprobe acme-news Healthy "False ManifestStale"
await 30 "the tenant's condition names it too" condition_is monitoredtenant acme Healthy "False ManifestStale"
messages() { world GET /slack | jq -e --arg t "$1" '[.[] | .attachments[0] | select((.title | startswith($t)) and (.text | test("acme/acme-news stands still in e2e: ManifestStale at step stream")))] | length > 0'; }
await 60 "a message that names tenant, probe, region, reason and step" messages FIRING
world GET /slack | jq -c '.[-1].attachments[0] | {title, text}'
event() { k -n $tenant_ns get events --field-selector reason=ManifestStale -o name | has .; }
await 10 "an Event of the transition" event
world DELETE /admin/faults/freeze
k -n $tenant_ns wait --for=condition=Healthy drmprobe/acme-news drmprobe/cinema monitoredtenant/acme --timeout=60s
resolved() { world GET /slack | jq -e '[.[] | .attachments[0].title | select(startswith("RESOLVED LiveEdgeStale"))] | length > 0'; }
await 60 "the message is resolved" resolved
tenant_leaves
