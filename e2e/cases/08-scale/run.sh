# Load up, replicas up, load down, replicas down: the shipped HorizontalPodAutoscaler, the real HPA controller, Debian's
# Prometheus and prometheus-adapter, with an auditor who sees to it that no slot is lost on the way.
source "$(dirname "$0")/../../lib.sh"
[ "${E2E_CONTEXT:-}" != current ] || { echo "SKIPPED: needs the cluster's own network"; exit 0; }
source "$root/e2e/prometheus.sh"
product
work=$CLUSTER/scaling ns=scale
# --- Prometheus and the custom-metrics API
prometheus_up "$work" 2
sed -n '/^```yaml adapter/,/^```$/p' "$root/docs/scaling.md" | sed '1d;$d' >"$work/adapter.yaml"
start "$BIN/prometheus-adapter" --secure-port=6444 --bind-address=10.93.0.2 --cert-dir="$work" --config="$work/adapter.yaml" \
  --prometheus-url=http://127.0.0.1:9090 --metrics-relist-interval=5s --metrics-max-age=1m \
  --lister-kubeconfig="$CLUSTER/admin.kubeconfig" --authentication-kubeconfig="$CLUSTER/admin.kubeconfig" --authorization-kubeconfig="$CLUSTER/admin.kubeconfig"
k apply -f - <<YAML
apiVersion: v1
kind: Service
metadata: {name: custom-metrics, namespace: kube-system}
spec: {ports: [{port: 443, targetPort: 6444}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: custom-metrics, namespace: kube-system, labels: {kubernetes.io/service-name: custom-metrics}}
addressType: IPv4
endpoints: [{addresses: [10.93.0.2], conditions: {ready: true}}]
ports: [{port: 6444, protocol: TCP}]
---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1beta1.custom.metrics.k8s.io}
spec:
  group: custom.metrics.k8s.io
  version: v1beta1
  groupPriorityMinimum: 100
  versionPriority: 100
  insecureSkipTLSVerify: true
  service: {name: custom-metrics, namespace: kube-system}
YAML
helm upgrade drmwatch "$root/charts/drmwatch" -n $system --reuse-values --wait --timeout 120s \
  --set runners.autoscaling.enabled=true --set runners.autoscaling.minReplicas=1 --set runners.autoscaling.maxReplicas=4 \
  --set runners.autoscaling.targetBusyRatio=10m --set-json 'runners.autoscaling.behavior.scaleDown={"stabilizationWindowSeconds":15,"policies":[{"type":"Pods","value":1,"periodSeconds":15}]}'
served() { k get --raw "/apis/custom.metrics.k8s.io/v1beta1/namespaces/$runners/pods/*/drmwatch_runner_busy_ratio" | jq -e '.items | length > 0'; }
await 90 "the custom-metrics API serves the busy share" served
replicas() { k -n $runners get runnerpool default -o jsonpath='{.spec.replicas}'; }
is() { [ "$(replicas)" "$1" "$2" ] && [ "$(k -n $runners get deployment drmwatch-runner-default -o jsonpath='{.status.readyReplicas}')" "$1" "$2" ]; }
await 180 "without load one runner is left" is -eq 1
# --- who is watched all the time
world_ip=$(k -n $world_ns get service world -o jsonpath='{.spec.clusterIP}')
k create namespace $ns
probe() { # name, interval, url, more
  printf -- '---\napiVersion: drmwatch.io/v1alpha1\nkind: DrmProbe\nmetadata: {name: %s, namespace: %s}\nspec:\n  tenantRef: {name: scale}\n  schedule: {intervalSeconds: %s}\n  timeoutSeconds: 4\n  steps: [{name: get, http: {url: "%s"}}]\n%s' "$1" $ns "$2" "$3" "${4:-}"
}
tenant='apiVersion: drmwatch.io/v1alpha1
kind: MonitoredTenant
metadata: {name: scale, namespace: '$ns'}
spec: {displayName: Scale, credentials: [{name: ca, secretKeyRef: {name: ca, key: ca}}]}
'
k -n $ns create secret generic ca --from-literal=ca="$(world GET /ca.pem)"
{ echo "$tenant"; for n in $(seq 1 100); do probe "steady-$n" 10 "http://$world_ip:8080/slot/steady-$n"; done; } | k apply --server-side -f - >/dev/null
visits() { world GET /admin/visits >"$work/visits"; }
all_run() { visits; [ "$(awk -v since=$(($(date +%s%3N) - 12000)) '$1 > since && /steady/ {print $2}' "$work/visits" | sort -u | grep -c .)" = 100 ]; }
await 60 "a hundred probes run" all_run
sleep 12
from=$(date +%s%3N)
listen scale "$work/missed" 2>/dev/null & pids+=($!)
# --- load up
{ for n in $(seq 1 400); do probe "load-$n" 5 "https://world.world.svc.cluster.local:8443/healthz" '  tls: {caCredential: ca}
'; done; } | k apply --server-side -f - >/dev/null
await 240 "load up: more runners" is -ge 3
k -n $runners get hpa
k -n $runners get leases -l drmwatch.io/lease=shard -o jsonpath='{range .items[*]}{.spec.holderIdentity}{"\n"}{end}' | sort | uniq -c
spread() { [ "$(k -n $runners get leases -l drmwatch.io/lease=shard -o jsonpath='{range .items[*]}{.spec.holderIdentity}{"\n"}{end}' | sort -u | grep -c .)" -ge 3 ]; }
await 60 "the shards are spread over them" spread
# --- load down
k -n $ns delete drmprobes --wait=false $(seq -f 'load-%g' 1 400) >/dev/null
await 300 "load down: fewer runners" is -eq 1
await 30 "a hundred probes run on" all_run
to=$(date +%s%3N)
sleep 3
visits
grep steady "$work/visits" >"$work/steady"
grep steady "$work/missed" >"$work/told" || true
"$BINARIES/drmwatch-audit" "$work/steady" "$work/told" --interval steady=10 --probes 100 --from "$from" --to "$to"
k -n $ns delete drmprobes --all --wait --timeout=120s >/dev/null
k -n $ns delete monitoredtenant scale --wait --timeout=30s
k delete namespace $ns --wait=false
base_values
k delete apiservice v1beta1.custom.metrics.k8s.io
k -n kube-system delete service,endpointslice custom-metrics --ignore-not-found
