# The death of a runner, of the leader and of the API server: probes go on.
source "$(dirname "$0")/../../lib.sh"
tenant
runs() { # sum of finished slots over the runners that answer
  local ip
  for ip in $(k -n $runners get pods -l app.kubernetes.io/name=drmwatch-runner --field-selector=status.phase=Running -o jsonpath='{.items[*].status.podIP}'); do
    scraped "$ip:9464" '^drmwatch_probe_last_run_timestamp_seconds\{.*probe="'"$1"'"' 2>/dev/null || true
  done | sed 's/.* //' | sort -g | tail -1
}
fresh() { [ "$(printf '%.0f' "$(runs "$1")")" -gt "$2" ]; }
holders() { k -n $runners get leases -l drmwatch.io/lease=shard -o jsonpath='{range .items[*]}{.spec.holderIdentity}{"\n"}{end}' | sort -u; }
# Pods that leave may still hold some, and a Lease that was let go has no holder.
two() {
  local here
  here=$(k -n $runners get pods -l app.kubernetes.io/name=drmwatch-runner -o json | jq -r '.items[] | select(.metadata.deletionTimestamp == null) | .metadata.name' | sort)
  [ "$(grep -c . <<<"$here")" = 2 ] && [ "$(holders)" = "$here" ]
}
await 60 "both runners hold shards" two
victim=$(holders | first)
now=$(date +%s)
k -n $runners delete pod "$victim" --grace-period=0 --force
taken() { ! holders | has "$victim"; }
await 60 "the dead runner's shards are taken over" taken
for probe in cinema acme-news; do await 30 "$probe runs on" fresh $probe $((now + 12)); done
old=$(leader)
k -n $system delete --grace-period=0 --force "$(k -n $system get pods --field-selector="status.podIP=${old%:*}" -o name)"
other() { local at; at=$(leader) && [ "$at" != "$old" ]; }
await 60 "another operator leads" other
# A change after the change of leader is carried out.
k -n $tenant_ns patch drmprobe cinema --type=merge -p '{"spec":{"schedule":{"suspend":true}}}'
await 30 "suspended" condition_is drmprobe cinema Healthy "Unknown Suspended"
k -n $tenant_ns patch drmprobe cinema --type=merge -p '{"spec":{"schedule":{"suspend":false}}}'
await 30 "resumed" condition_is drmprobe cinema Healthy "True Pass"
if [ "${E2E_CONTEXT:-}" = current ]; then tenant_leaves; exit 0; fi
# The API server away for a while: runners keep what they have.
await 60 "two runners again" two
ips=$(k -n $runners get pods -l app.kubernetes.io/name=drmwatch-runner -o jsonpath='{.items[*].status.podIP}')
last() { for ip in $ips; do scraped "$ip:9464" '^drmwatch_probe_last_run_timestamp_seconds\{.*probe="acme-news"' || true; done | sed 's/.* //' | sort -g | tail -1; }
server=$(cat "$CLUSTER/pid/apiserver")
kill -STOP "$server"
trap 'kill -CONT "$server"' EXIT
away=$(date +%s)
running() { [ "$(printf '%.0f' "$(last)")" -gt $((away + 15)) ]; }
await 40 "probes run while the API server is away" running
kill -CONT "$server"
trap - EXIT
ready() { k get --raw=/readyz; }
await 60 "the API server is back" ready
await 60 "an operator leads again" leader
# The API server has no room for the operator beyond one request at a time, and says so: 429, by its own priority and
# fairness. The operator neither storms nor forgets.
k apply -f - <<YAML
apiVersion: flowcontrol.apiserver.k8s.io/v1
kind: PriorityLevelConfiguration
metadata: {name: no-room}
spec: {type: Limited, limited: {nominalConcurrencyShares: 0, borrowingLimitPercent: 0, lendablePercent: 0, limitResponse: {type: Reject}}}
---
apiVersion: flowcontrol.apiserver.k8s.io/v1
kind: FlowSchema
metadata: {name: no-room}
spec:
  matchingPrecedence: 2
  priorityLevelConfiguration: {name: no-room}
  rules:
  - subjects: [{kind: ServiceAccount, serviceAccount: {name: drmwatch-operator, namespace: $system}}]
    resourceRules: [{verbs: ['*'], apiGroups: ['*'], resources: ['*'], clusterScope: true, namespaces: ['*']}]
YAML
many=100
for n in $(seq 1 $many); do
  printf -- '---\napiVersion: drmwatch.io/v1alpha1\nkind: DrmProbe\nmetadata: {name: many-%s, namespace: %s, labels: {many: "yes"}}\nspec:\n  tenantRef: {name: acme}\n  schedule: {intervalSeconds: 10}\n  timeoutSeconds: 5\n  steps: [{name: get, http: {url: "http://world.world.svc.cluster.local:8080/healthz"}}]\n' "$n" "$tenant_ns"
done | k apply --server-side -f - >/dev/null
began=$SECONDS
refused() { k get --raw=/metrics | awk '/^apiserver_flowcontrol_rejected_requests_total\{flow_schema="no-room"/ {n += $2} END {print n + 0}'; }
some() { [ "$(refused)" -gt 0 ]; }
await 60 "the operator is refused" some
healthy() { [ "$(k -n "$tenant_ns" get drmprobes -l many=yes -o jsonpath='{range .items[*]}{.status.conditions[?(@.type=="Healthy")].status}{"\n"}{end}' | grep -c True)" -ge "$1" ]; }
await 240 "it gets everything done nevertheless" healthy $many
took=$((SECONDS - began)) times=$(refused)
echo "refused $times times in $took s"
# Who tries again at once is refused hundreds of times a second. At first nobody can know; then each refusal is followed by
# a pause of a second, for each of two operators.
[ "$times" -lt $((100 + 3 * took)) ] || fail "the operator storms: it is refused $times times in $took s, though it is told to wait"
k delete flowschema,prioritylevelconfiguration no-room
k -n "$tenant_ns" delete drmprobes -l many=yes --wait --timeout=120s >/dev/null
tenant_leaves
