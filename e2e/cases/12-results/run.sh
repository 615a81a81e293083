# Results of every slot, of resident runners and of a Job, end encrypted in a volume, though a runner is killed; the CronJob of
# the chart makes roll-ups of them; and whoever has the keys reads them with `drmwatch`.
source "$(dirname "$0")/../../lib.sh"
[ "${E2E_CONTEXT:-}" != current ] || { echo "SKIPPED: looks into a volume on the node"; exit 0; }
folder=$CLUSTER/results keys=$CLUSTER/results-keys
mkdir -p "$folder" && chmod 777 "$folder"
ctr -a "$CLUSTER/containerd.sock" -n k8s.io images import "$IMAGES_FOLDER/drmwatch.tar" >/dev/null
"$BINARIES/drmwatch" keys create --keys "$keys" $tenant_ns/acme
k -n $runners create secret generic drmwatch-results-keys --from-file="$keys"
k apply -f - <<YAML
apiVersion: v1
kind: PersistentVolume
metadata: {name: results}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteMany]
  storageClassName: ""
  hostPath: {path: $folder}
  claimRef: {namespace: $runners, name: results}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: results, namespace: $runners}
spec:
  accessModes: [ReadWriteMany]
  storageClassName: ""
  resources: {requests: {storage: 1Gi}}
YAML
helm upgrade drmwatch "$root/charts/drmwatch" -n $system --reset-then-reuse-values \
  --set runners.pool.results.claim=results --set runners.pool.results.keysSecret=drmwatch-results-keys \
  --set runners.pool.results.batchSeconds=5 --set results.consolidation.enabled=true --wait --timeout 180s >/dev/null
rolled() { k -n $runners get deployment drmwatch-runner-default -o json | jq -e '.status.observedGeneration == .metadata.generation and .status.updatedReplicas == .spec.replicas and .status.readyReplicas == .spec.replicas and .status.replicas == .spec.replicas and ([.spec.template.spec.containers[0].env[].name] | index("DRMWATCH_RESULTS") != null)'; }
await 120 "every runner keeps results" rolled
k apply -f - <<YAML
apiVersion: drmwatch.io/v1alpha1
kind: DrmProbe
metadata: {name: kept-by-job, namespace: $tenant_ns}
spec:
  tenantRef: {name: acme}
  schedule: {intervalSeconds: 60}
  execution: Job
  steps: [{name: get, http: {url: "http://world.$world_ns.svc.cluster.local:8080/healthz"}}]
YAML
results() { "$BINARIES/drmwatch" results --store "$folder" --keys "$keys" --tenant $tenant_ns/acme --recent 2 --limit 100000 --format json "$@"; }
passes() { [ "$(results --probe cinema | jq -s '[.[] | select(.outcome == "pass")] | length')" -ge "${1:-2}" ]; }
await 60 "runs of the resident probe are in the store" passes 2
of_job() { results --probe kept-by-job | jq -se 'any(.[]; .outcome == "pass")'; }
await 150 "a run of the Job is in the store" of_job
# Whoever is killed leaves what it had to its next container.
k -n $runners get pods -l app.kubernetes.io/name=drmwatch-runner -o jsonpath='{range .items[*]}{.metadata.name} {.status.containerStatuses[0].restartCount}{"\n"}{end}'
# Processes come and go while it looks.
pids=$({ grep -slaz '^DRMWATCH_RESULTS_SPOOL=' /proc/[0-9]*/environ || true; } | cut -d/ -f3)
[ -n "$pids" ] || fail "no runner was found"
kill -KILL $pids
await 60 "every runner runs again" rolled
world PUT /admin/faults/manifest-down
# Its first failure is looked at twice, and both attempts are kept.
failed() { results --failures | jq -se 'any(.[]; .outcome == "fail" and .counts and .reason != null and .trace_id != null)'; }
await 90 "a failure is in the store, with its reason" failed
results --failures | jq -c 'select(.outcome == "fail") | {probe, slot, attempt, counts, outcome, domain, reason, step, message}' | head -4
world DELETE /admin/faults/manifest-down
count=$(results --probe cinema | jq -s length)
more() { [ "$(results --probe cinema | jq -s length)" -gt "$count" ]; }
await 60 "what comes after is kept, too" more
twice=$(results | jq -s '[.[] | select(.kind == "run" and .counts) | [.probe, .region, .slot]] | group_by(.) | map(select(length > 1)) | length')
[ "$twice" = 0 ] || fail "$twice slots count twice"
lost() { for ip in $(k -n $runners get pods -l app.kubernetes.io/name=drmwatch-runner -o jsonpath='{.items[*].status.podIP}'); do scraped "$ip:9464" '^drmwatch_runner_results_lost_total' ; done; }
lost | awk '{s += $2} END {exit s > 0}' || fail "results were lost: $(lost)"
if grep -rqE 'acme|cinema|manifest|Timeout' "$folder"; then fail "plaintext in the store"; fi
# Roll-ups, by the CronJob of the chart.
k -n $runners create job consolidate-now --from=cronjob/drmwatch-consolidate >/dev/null
k -n $runners wait --for=condition=Complete job/consolidate-now --timeout=60s
k -n $runners logs job/consolidate-now
[ -n "$(find "$folder" -path '*/15m/*' -name '*.parquet')" ] || fail "no roll-ups"
k -n $tenant_ns delete drmprobe kept-by-job --wait --timeout=60s
k -n $runners delete job consolidate-now --wait --timeout=60s
helm upgrade drmwatch "$root/charts/drmwatch" -n $system --reset-then-reuse-values --set runners.pool.results=null --set results.consolidation.enabled=false --wait --timeout 180s >/dev/null
k -n $runners delete pvc results --wait=false
k -n $runners delete secret drmwatch-results-keys
k delete pv results --wait=false
