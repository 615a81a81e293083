# The images are in a registry that asks for credentials. Without the pull Secret no pod starts, and Events and the pool's
# condition say why. With it operator, runner, reader, a probe's Job and a report start. In the order of docs/private-registry.md.
source "$(dirname "$0")/../../lib.sh"
[ "${E2E_CONTEXT:-}" != current ] || { echo "SKIPPED: starts a registry in the network of a cluster of its own"; exit 0; }
empty
work=$CLUSTER/registry registry=127.0.0.1:5000 secret=drmwatch-registry
mkdir -p "$work" "$CLUSTER/private-results" && chmod 777 "$CLUSTER/private-results"

# --- the registry: containerd asks addresses of loopback by plain HTTP ---------------------------------
password=$(openssl rand -hex 16)
htpasswd -Bin drmwatch <<<"$password" >"$work/htpasswd" 2>/dev/null
# What the client pushes with is what the kubelet pulls with.
printf 'drmwatch:%s' "$password" | base64 -w0 | jq -R --arg at $registry '{auths: {($at): {auth: .}}}' >"$work/auth.json"
cat >"$work/config.yml" <<YAML
version: 0.1
log: {accesslog: {disabled: false}}
storage: {filesystem: {rootdirectory: $work/data}}
http: {addr: $registry}
auth: {htpasswd: {realm: drmwatch, path: $work/htpasswd}}
YAML
setsid nsenter --net="/var/run/netns/$(cat "$CLUSTER/netns")" docker-registry serve "$work/config.yml" >"$CLUSTER/log/registry.log" 2>&1 </dev/null &
pid=$!
echo $pid >"$CLUSTER/pid/registry" # for down.sh, should this case not come to its end
stop_registry() { kill $pid 2>/dev/null || true; wait $pid 2>/dev/null || true; rm -f "$CLUSTER/pid/registry"; }
trap stop_registry EXIT
status() { inside curl -s -o /dev/null -w '%{http_code}' "$@" http://$registry/v2/; }
demands() { [ "$(status)" = 401 ]; }
await 20 "a registry that demands credentials" demands
[ "$(status --config - <<<"user = \"drmwatch:$password\"")" = 200 ] || fail "the registry refuses its credentials"
client() { buildah --root "$work/storage" --runroot "$work/run" --storage-driver vfs "$@"; }
for name in drmwatch drmwatch-operator drmwatch-runner drmwatch-reader; do
  client pull --quiet "docker-archive:$IMAGES_FOLDER/$name.tar" >/dev/null
  inside buildah --root "$work/storage" --runroot "$work/run" --storage-driver vfs push --quiet --tls-verify=false \
    --authfile "$work/auth.json" "localhost/$name:$tag" "docker://$registry/drmwatch/$name:$tag"
done
rm -rf "$work/storage"
echo "pushed in $SECONDS s"

# --- namespaces, what the pool keeps results in, and the release; no pull Secret yet --------------------
for ns in $system $runners; do
  k create namespace "$ns"
  k label namespace "$ns" pod-security.kubernetes.io/enforce=restricted
done
"$BINARIES/drmwatch" keys create --keys "$work/keys" $tenant_ns/acme >/dev/null
"$BINARIES/drmwatch" keys signing "$work/keys/signing" >/dev/null
rm -f "$work/keys/signing.pub"
k -n $runners create secret generic drmwatch-results-keys --from-file="$work/keys"
k apply -f - <<YAML
apiVersion: v1
kind: PersistentVolume
metadata: {name: private-results}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteMany]
  storageClassName: ""
  hostPath: {path: $CLUSTER/private-results}
  claimRef: {namespace: $runners, name: private-results}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: private-results, namespace: $runners}
spec:
  accessModes: [ReadWriteMany]
  storageClassName: ""
  resources: {requests: {storage: 1Gi}}
YAML
helm install drmwatch "$root/charts/drmwatch" -n $system --set region=e2e --set image.repository=$registry/drmwatch --set image.tag="$tag" \
  --set image.pullPolicy=Always --set "image.pullSecrets[0].name=$secret" --set runners.createNamespace=false --set operator.replicas=1 \
  --set runners.pool.replicas=1 --set runners.pool.shards=2 --set 'runners.pool.egress.allowCidrs={10.94.0.0/16,10.96.0.0/16}' \
  --set runners.pool.results.claim=private-results --set runners.pool.results.keysSecret=drmwatch-results-keys \
  --set results.reader.enabled=true --set results.reader.replicas=1 >/dev/null
sed "s|REPOSITORY|$repository|; s|TAG|$tag|" "$root/e2e/world.yaml" | k apply -f -

# --- without the Secret ---------------------------------------------------------------------------------
refused() { # namespace, name of an app: its pod waits, and an Event says that the registry refused
  local pods; pods=$(k -n "$1" get pods -l "app.kubernetes.io/name=$2" -o json)
  jq -e '.items | length > 0 and all(.[]; .status.containerStatuses[0].state.waiting.reason | test("^(ErrImagePull|ImagePullBackOff)$"))' <<<"$pods" || return 1
  k -n "$1" get events -o json | jq -e --argjson pods "$(jq '[.items[].metadata.name]' <<<"$pods")" \
    'any(.items[]; .reason == "Failed" and (.involvedObject.name | IN($pods[])) and (.message | test("401 Unauthorized|no basic auth credentials")))'
}
await 40 "the operator's image is refused" refused $system drmwatch-operator
await 20 "the reader's image is refused" refused $runners drmwatch-reader
has ' 401 ' <"$CLUSTER/log/registry.log" || fail "the registry refused nothing"
create_secret() { k -n "$1" create secret generic $secret --type=kubernetes.io/dockerconfigjson --from-file=.dockerconfigjson="$work/auth.json"; }
create_secret $system
# Pods that wait try again by themselves.
await 60 "the operator starts with the Secret of its namespace" k -n $system wait --for=condition=Available deployment/drmwatch-operator --timeout=1s
k apply -f - <<YAML
apiVersion: v1
kind: Namespace
metadata: {name: $tenant_ns}
---
apiVersion: drmwatch.io/v1alpha1
kind: MonitoredTenant
metadata: {name: acme, namespace: $tenant_ns}
spec: {displayName: ACME Television}
---
apiVersion: drmwatch.io/v1alpha1
kind: DrmProbe
metadata: {name: resident, namespace: $tenant_ns}
spec:
  tenantRef: {name: acme}
  schedule: {intervalSeconds: 5}
  timeoutSeconds: 4
  steps: [{name: get, http: {url: "http://world.$world_ns.svc.cluster.local:8080/healthz"}}]
---
apiVersion: drmwatch.io/v1alpha1
kind: DrmProbe
metadata: {name: by-job, namespace: $tenant_ns}
spec:
  tenantRef: {name: acme}
  schedule: {cron: "0 0 29 2 *"}
  execution: Job
  steps: [{name: get, http: {url: "http://world.$world_ns.svc.cluster.local:8080/healthz"}}]
---
apiVersion: drmwatch.io/v1alpha1
kind: SlaReport
metadata: {name: yearly, namespace: $tenant_ns}
spec:
  schedule: "0 0 29 2 *"
  recipients: [{name: archive, objects: {path: acme}}]
YAML
job_now() { # name, label of the CronJob
  local from; from=$(k -n $runners get cronjob -l "$2" -o name)
  [ -n "$from" ] && k -n $runners create job "$1" --from="$from"
}
probe=drmwatch.io/probe-uid report=drmwatch.io/report-uid
await 30 "the CronJob of the probe" job_now probe-early $probe
await 30 "the CronJob of the report" job_now report-early $report
await 30 "the runner's image is refused" refused $runners drmwatch-runner
await 30 "the Job's image is refused" refused $runners drmwatch-probe
await 30 "the report's image is refused" refused $runners drmwatch-report
pool() { k -n $runners get runnerpool default -o json | jq -e "[.status.conditions[] | select(.type == \"Ready\")][0] | $1"; }
names_secret() { pool ".status == \"False\" and .reason == \"PullSecretMissing\" and (.message | contains(\"pull Secret \\\"$secret\\\" does not exist in namespace \\\"$runners\\\"\") and test(\"401|no basic auth\"))"; }
await 30 "the pool names the missing Secret and the refusal" names_secret
k -n $runners get runnerpool default -o jsonpath='{.status.conditions[?(@.type=="Ready")].message}{"\n"}'
k -n $runners get events --field-selector involvedObject.kind=RunnerPool,reason=PullSecretMissing -o name | has . || fail "no Event of the pool"

# --- with it --------------------------------------------------------------------------------------------
create_secret $runners
# What has failed for long would wait for long.
k -n $runners delete job probe-early report-early --wait=false
k -n $runners delete pods -l 'app.kubernetes.io/name in (drmwatch-runner, drmwatch-reader)' --wait=false
started() { pool '.status == "True" and .reason == "Available" and .message == "1 of 1 runners are ready"'; }
job_now probe-now $probe
job_now report-now $report
await 60 "the runner starts" started
await 30 "the reader starts" k -n $runners wait --for=condition=Available deployment/drmwatch-reader --timeout=1s
await 30 "the verdict of the runner" condition_is drmprobe resident Healthy "True Pass"
await 30 "the verdict of the Job" condition_is drmprobe by-job Healthy "True Pass"
await 30 "the report's Job is done" k -n $runners wait --for=condition=Complete job/report-now --timeout=1s
elsewhere=$(k get pods -A -o json | jq -r --arg at "$registry/" '.items[] | select(.metadata.namespace | test("^drmwatch-")) | .spec.containers[].image | select(startswith($at) | not)')
[ -z "$elsewhere" ] || fail "images from elsewhere: $elsewhere"
! k -n $system logs -l app.kubernetes.io/name=drmwatch-operator --tail=-1 | has -F "$password" || fail "the password in a log"

# --- and away -------------------------------------------------------------------------------------------
k -n $tenant_ns delete slareport,drmprobe,monitoredtenant --all --wait --timeout=60s
nothing() { [ -z "$(k -n $runners get secrets,cronjobs -l $probe -o name; k -n $runners get secrets,cronjobs -l $report -o name)" ]; }
await 30 "no plan is left behind" nothing
helm uninstall drmwatch -n $system --wait --timeout 60s >/dev/null
k -n $runners delete pvc private-results --wait=false
empty
k delete pv private-results --wait --timeout=30s
stop_registry
rm -rf "$work" "$CLUSTER/private-results"
