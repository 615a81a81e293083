# What is missing or unusable is named and heals by itself; a rotated Secret reaches the runner without a restart; a
# tenant's budget is kept.
source "$(dirname "$0")/../../lib.sh"
tenant
pods() { k -n $runners get pods -l app.kubernetes.io/name=drmwatch-runner -o jsonpath='{range .items[*]}{.metadata.uid}/{.status.containerStatuses[0].restartCount} {end}'; }
before=$(pods)
probe() { # name, tenant, secret
  k apply -f - <<YAML
apiVersion: drmwatch.io/v1alpha1
kind: DrmProbe
metadata: {name: $1, namespace: $tenant_ns}
spec:
  tenantRef: {name: $2}
  schedule: {intervalSeconds: 5}
  timeoutSeconds: 4
  credentials: [{name: later, secretKeyRef: {name: $3, key: api-key}}]
  steps:
  - name: token
    http: {method: POST, url: "http://world.world.svc.cluster.local:8080/token", headers: [{name: authorization, value: "Bearer \${credentials.later}"}]}
YAML
}
message() { k -n $tenant_ns get drmprobe "$1" -o jsonpath='{.status.conditions[?(@.type=="Ready")].message}'; }
probe orphan nobody later
await 20 "a dangling tenantRef" condition_is drmprobe orphan Ready "False TenantNotFound"
message orphan | has nobody || fail "the tenant is not named"
k apply -f - <<YAML
apiVersion: drmwatch.io/v1alpha1
kind: MonitoredTenant
metadata: {name: nobody, namespace: $tenant_ns}
spec: {displayName: Appears later}
YAML
await 20 "a missing Secret" condition_is drmprobe orphan Ready "False SecretNotFound"
message orphan | has 'Secret later' || fail "the Secret is not named"
k -n $tenant_ns create secret generic later --from-literal=other=x
await 20 "a missing key" condition_is drmprobe orphan Ready "False SecretKeyNotFound"
message orphan | has api-key || fail "the key is not named"
k -n $tenant_ns patch secret later --type=merge -p '{"stringData":{"api-key":"wrong-api-key"}}'
await 20 "healed by itself" condition_is drmprobe orphan Ready "True PlanDelivered"
await 30 "the wrong key is refused" condition_is drmprobe orphan Healthy "False AccessDenied"
k -n $tenant_ns patch secret later --type=merge -p '{"stringData":{"api-key":"demo-api-key"}}'
await 30 "the rotated key reaches the runner" condition_is drmprobe orphan Healthy "True Pass"
[ "$before" = "$(pods)" ] || fail "runners were restarted: $before / $(pods)"
# A credential that can't be what its step needs: named with its Secret and key before the first run, and never quoted.
k apply -f - <<YAML
apiVersion: drmwatch.io/v1alpha1
kind: DrmProbe
metadata: {name: wrong, namespace: $tenant_ns}
spec:
  tenantRef: {name: nobody}
  schedule: {intervalSeconds: 5}
  timeoutSeconds: 4
  credentials: [{name: recording, secretKeyRef: {name: later, key: api-key}}]
  steps:
  - name: license
    license: {system: FairPlay, url: "http://world.world.svc.cluster.local:8080/drm/fairplay/license", kids: [a7e61c37-3e21-9033-c210-91fa607bf3b8], challenge: {recordedCredential: recording}}
YAML
await 20 "an unusable credential" condition_is drmprobe wrong Ready "False CredentialUnusable"
message wrong | has 'the credential recording, key api-key of the Secret later: must be Base64' || fail "the key is not named: $(message wrong)"
! message wrong | has demo-api-key || fail "the condition quotes the value"
# A request budget moves the tenant's probes to one shard, and no run is lost on the way.
shards() { k -n $runners get secrets -l drmwatch.io/probe-uid -o json | jq -r --arg t nobody '.items[] | select((.data["plan.json"] | @base64d | fromjson).id.tenant == $t) | .metadata.labels["drmwatch.io/shard"]' | sort -u; }
runs() { # of the probe, over all runners
  local ip sum=0 text n
  for ip in $(k -n $runners get pods -l app.kubernetes.io/name=drmwatch-runner -o jsonpath='{.items[*].status.podIP}'); do
    text=$(scraped "$ip:9464" '^drmwatch_probe_runs_total.*probe="orphan"' || true)
    n=$(awk '{s += $2} END {print s + 0}' <<<"$text"); sum=$((sum + n))
  done
  echo $sum
}
k -n $tenant_ns delete drmprobe/wrong --wait --timeout=30s
before_budget=$(shards)
k -n $tenant_ns patch monitoredtenant nobody --type=merge -p '{"spec":{"budget":{"requestsPerMinute":600}}}'
budgeted() {
  k -n $runners get secrets -l drmwatch.io/probe-uid -o json | jq -e --arg t nobody '[.items[].data["plan.json"] | @base64d | fromjson | select(.id.tenant == $t)] | length > 0 and all(.budget.requestsPerMinute == 600)'
}
await 20 "the budget is in the plan" budgeted
echo "shard before the budget: $before_budget, with it: $(shards)"
left() { local ip; for ip in $(k -n $runners get pods -l app.kubernetes.io/name=drmwatch-runner -o jsonpath='{.items[*].status.podIP}'); do scraped "$ip:9464" '^drmwatch_tenant_budget_left_ratio.*probe="orphan"' && return; done; return 1; }
await 30 "the budget is accounted" left
then=$(runs)
more() { [ "$(runs)" -ge $((then + 2)) ]; }
await 30 "the probe runs on" more
k -n $tenant_ns patch monitoredtenant nobody --type=merge -p '{"spec":{"budget":{"requestsPerMinute":3}}}'
await 60 "a slot beyond the budget is inconclusive" condition_is drmprobe orphan Healthy "Unknown BudgetExhausted"
k -n $tenant_ns delete drmprobe/orphan monitoredtenant/nobody secret/later --wait --timeout=30s
tenant_leaves
