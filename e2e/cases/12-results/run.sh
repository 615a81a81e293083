# Results of every slot, of resident runners and of a Job, end encrypted in a volume, though a runner is killed; the CronJob of
# the chart makes roll-ups of them; whoever has the keys reads them with `drmwatch`, whom Kubernetes lets with a token; and an
# SlaReport is delivered.
source "$(dirname "$0")/../../lib.sh"
[ "${E2E_CONTEXT:-}" != current ] || { echo "SKIPPED: looks into a volume on the node"; exit 0; }
folder=$CLUSTER/results keys=$CLUSTER/results-keys
mkdir -p "$folder" && chmod 777 "$folder"
tenant
for image in drmwatch drmwatch-reader; do ctr -a "$CLUSTER/containerd.sock" -n k8s.io images import "$IMAGES_FOLDER/$image.tar" >/dev/null; done
"$BINARIES/drmwatch" keys create --keys "$keys" $tenant_ns/acme
"$BINARIES/drmwatch" keys signing "$keys/signing"
mv "$keys/signing.pub" "$CLUSTER/signing.pub"
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
  --set runners.pool.results.batchSeconds=5 --set results.consolidation.enabled=true \
  --set results.reader.enabled=true --set results.reader.replicas=1 --wait --timeout 180s >/dev/null
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
pids=$(ours $({ grep -slaz '^DRMWATCH_RESULTS_SPOOL=' /proc/[0-9]*/environ || true; } | cut -d/ -f3))
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
# What is younger than a quarter is in no roll-up: hours of another probe, of a day that is at noon now where it is counted.
offset=$((12 - 10#$(date -u +%H)))
zone=Etc/GMT$([ $offset -gt 0 ] && echo -$offset || echo +$((-offset)))
"$BINARIES/drmwatch-plant" --store "$folder" --keys "$keys" --namespace $tenant_ns --tenant acme --probe planted --region e2e \
  --since "$(date -u -d '-8 hours' +%Y-%m-%dT%H:00:00Z)" --minutes 360 --down-from 100 --down-minutes 10
chmod -R a+rwX "$folder"
# Roll-ups, by the CronJob of the chart.
k -n $runners create job consolidate-now --from=cronjob/drmwatch-consolidate >/dev/null
k -n $runners wait --for=condition=Complete job/consolidate-now --timeout=60s
k -n $runners logs job/consolidate-now
[ -n "$(find "$folder" -path '*/15m/*' -name '*.parquet')" ] || fail "no roll-ups"
# By HTTP, to whom Kubernetes lets.
k -n $tenant_ns create serviceaccount customer
k -n $tenant_ns create serviceaccount stranger
k -n $tenant_ns create rolebinding customer-reads --clusterrole=drmwatch-read-results --serviceaccount=$tenant_ns:customer
reader=http://$(k -n $runners get pods -l app.kubernetes.io/name=drmwatch-reader -o jsonpath='{.items[0].status.podIP}'):9468
ask() { # account, path
  inside curl -s -o "$CLUSTER/answer" -w '%{http_code}' -H "Authorization: Bearer $(k -n $tenant_ns create token "$1" --duration=10m)" "$reader$2"
}
mine=/v1/tenants/$tenant_ns/acme
[ "$(ask customer "$mine/results?outcome=fail&probe=cinema&from=$(date -u -d yesterday +%F)")" = 200 ] || fail "the customer may not read: $(cat "$CLUSTER/answer")"
jq -e '.items | length > 0 and all(.[]; .outcome == "fail" and .probe == "cinema")' "$CLUSTER/answer" >/dev/null || fail "no failures: $(cat "$CLUSTER/answer")"
[ "$(ask customer "$mine/rollups?level=15m&from=$(date -u -d '-8 hours' +%F)&probe=planted&limit=1000")" = 200 ] || fail "no roll-ups: $(cat "$CLUSTER/answer")"
jq -e '.items | any(.[]; .minutes.down > 0 and .region == "*")' "$CLUSTER/answer" >/dev/null || fail "no outage in roll-ups: $(cat "$CLUSTER/answer")"
[ "$(ask stranger "$mine/results")" = 403 ] || fail "a stranger reads: $(cat "$CLUSTER/answer")"
[ "$(ask customer /v1/tenants/default/acme/results)" = 403 ] || fail "the customer reads elsewhere: $(cat "$CLUSTER/answer")"
[ "$(inside curl -s -o /dev/null -w '%{http_code}' -H 'Authorization: Bearer nonsense' "$reader$mine/results")" = 401 ] || fail "a token of nobody is good"
# A report on a schedule: what is due tomorrow, made today.
k -n $tenant_ns create secret generic report-hook --from-literal=url=http://nobody.$world_ns.svc.cluster.local:1/t0ken-of-reports
k apply -f - <<YAML
apiVersion: drmwatch.io/v1alpha1
kind: SlaReport
metadata: {name: daily, namespace: $tenant_ns}
spec:
  schedule: "0 0 * * *"
  timeZone: $zone
  period: Day
  tenants: [acme]
  recipients:
  - {name: archive, objects: {path: acme}}
  - {name: hook, webhook: {urlSecretRef: {name: report-hook, key: nothing}}}
YAML
report() { k -n $tenant_ns get slareport daily -o json | jq -e "$1" >/dev/null; }
missing() { report '.status.conditions[] | select(.type == "Ready") | .status == "False" and .reason == "SecretMissing"'; }
await 30 "a Secret without the key is told" missing
k -n $tenant_ns patch slareport daily --type=merge -p '{"spec":{"recipients":[{"name":"archive","objects":{"path":"acme"}},{"name":"hook","webhook":{"urlSecretRef":{"name":"report-hook","key":"url"}}}]}}'
scheduled() { report '(.status.conditions[] | select(.type == "Ready") | .status == "True") and .status.next != null'; }
await 30 "the report is scheduled" scheduled
job=$(k -n $runners get cronjob -l app.kubernetes.io/name=drmwatch-report -o name)
early() { # name: the job of the CronJob, of what is due the day after tomorrow's midnight, without patience
  k -n $runners create job "$1" --from="$job" --dry-run=client -o json |
    jq --arg at "$(date -u -d '+2 days' +%Y-%m-%dT00:00:00Z)" '.spec.template.spec.containers[0].args |= map(select(startswith("--patience") | not)) + ["--at", $at] | .spec.backoffLimit = 0' | k apply -f - >/dev/null
}
early report-one
undelivered() { report '.status.conditions[] | select(.type == "Delivered") | .status == "False" and .reason == "Undelivered" and (.message | test("hook"))'; }
await 60 "what could not be delivered is told" undelivered
k -n $tenant_ns get slareports
[ -n "$(find "$folder/reports/acme" -name '*.pdf')" ] || fail "nobody got the report: $(find "$folder/reports")"
csv=$(find "$folder/reports/acme" -name "*$(TZ=$zone date +%F).csv")
grep -qE ',planted,\*,360,350,10,' "$csv" || fail "the planted outage is not in the report: $(cat "$csv")"
"$BINARIES/drmwatch" verify --key "$CLUSTER/signing.pub" "$csv"
k -n $tenant_ns patch slareport daily --type=merge -p '{"spec":{"recipients":[{"name":"archive","objects":{"path":"acme"}}]}}'
k -n $runners delete job report-one --wait --timeout=60s
one() { [ "$(k -n $runners get secret -l drmwatch.io/report-uid -o json | jq -r '.items[0].data["report.json"] | @base64d | fromjson | .recipients | length')" = 1 ]; }
await 30 "who is no recipient any more is not in the plan" one
before=$(find "$folder/reports" -type f -printf '%p %T@\n' | sort)
early report-two
delivered() { report '(.status.conditions[] | select(.type == "Delivered") | .status == "True") and .status.through != null'; }
await 60 "all is delivered" delivered
[ "$before" = "$(find "$folder/reports" -type f -printf '%p %T@\n' | sort)" ] || fail "what was delivered was delivered again"
if k get all,configmaps,events,slareports -A -o json | grep -q t0ken-of-reports; then fail "the URL of the webhook can be read"; fi
k -n $runners logs job/report-two
k -n $runners delete job report-two --wait --timeout=60s
k -n $tenant_ns delete slareport daily --wait --timeout=60s
gone() { [ -z "$(k -n $runners get cronjob,secret -l drmwatch.io/report-uid -o name)" ]; }
await 30 "nothing of the report is left" gone
k -n $tenant_ns delete secret report-hook
k -n $tenant_ns delete rolebinding customer-reads
k -n $tenant_ns delete serviceaccount customer stranger
k -n $tenant_ns delete drmprobe kept-by-job --wait --timeout=60s
k -n $runners delete job consolidate-now --wait --timeout=60s
base_values
k -n $runners delete pvc results --wait=false
k -n $runners delete secret drmwatch-results-keys
k delete pv results --wait=false
tenant_leaves
