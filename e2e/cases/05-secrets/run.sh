# What is missing is named and heals by itself; a rotated Secret reaches the runner without a restart.
source "$(dirname "$0")/../../lib.sh"
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
k -n $tenant_ns delete drmprobe/orphan monitoredtenant/nobody secret/later --wait --timeout=30s
