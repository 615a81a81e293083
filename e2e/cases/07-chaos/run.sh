# Chaos while 500 probes run: runners killed, stopped and cut off, the API server, etcd and the name server away, a runner
# that starts while there is no API server, a full disk under the cache, and all at once. Then an auditor, who knows the
# world's access log and not the runners, proves that every slot was run or said to be missed, and the shipped alerts, as
# they are, must not have paged anyone. At last nobody watches, and they must.
source "$(dirname "$0")/../../lib.sh"
[ "${E2E_CONTEXT:-}" != current ] || { echo "SKIPPED: chaos is for a cluster of its own"; exit 0; }
source "$root/e2e/prometheus.sh"
tenant
away=${CHAOS_AWAY:-30} probes=500 fast=100
folder=$CLUSTER/chaos
mkdir -p "$folder"
cp "$root"/charts/drmwatch/files/rules/{infrastructure,regional}.yaml "$folder"
prometheus_up "$folder" 5 'rule_files: [infrastructure.yaml, regional.yaml]'
ns=chaos
origin=http://$(k -n $world_ns get service world -o jsonpath='{.spec.clusterIP}'):8080
k -n $runners patch runnerpool default --type=merge -p '{"spec":{"replicas":3}}'
k create namespace $ns
manifests() { # seconds of each probe's timeout
  cat <<YAML
apiVersion: drmwatch.io/v1alpha1
kind: MonitoredTenant
metadata: {name: chaos, namespace: $ns}
spec: {displayName: Chaos}
YAML
  for n in $(seq 1 $probes); do
    if [ "$n" -le $fast ]; then name=fast-$n every=5; else name=slow-$n every=10; fi
    cat <<YAML
---
apiVersion: drmwatch.io/v1alpha1
kind: DrmProbe
metadata: {name: $name, namespace: $ns}
spec:
  tenantRef: {name: chaos}
  schedule: {intervalSeconds: $every}
  timeoutSeconds: $1
  steps: [{name: get, http: {url: "$origin/slot/$name"}}]
YAML
  done
}
manifests 4 | k apply --server-side -f - >/dev/null
healthy() { [ "$(k -n $ns get drmprobes -o jsonpath='{range .items[*]}{.status.conditions[?(@.type=="Healthy")].status}{"\n"}{end}' | grep -c True)" = $probes ]; }
await 120 "$probes probes pass" healthy
three() { [ "$(k -n $runners get leases -l drmwatch.io/lease=shard -o jsonpath='{range .items[*]}{.spec.holderIdentity}{"\n"}{end}' | sort -u | grep -c .)" = 3 ]; }
await 60 "three runners hold shards" three

listen $ns "$folder/missed" & pids+=($!)
etcd=$(cat "$CLUSTER/pid/etcd") server=$(cat "$CLUSTER/pid/apiserver") names=$(cat "$CLUSTER/pid/coredns")
restore() {
  stop_all
  kill -CONT "$server" "$etcd" "$names" 2>/dev/null || true
  inside nft delete table ip chaos 2>/dev/null || true
}
trap restore EXIT

milliseconds() { date +%s%3N; }
visits() { inside curl -fsS "$origin/admin/visits" >"$folder/visits"; }
# Nobody may wait for the first run of the probes.
sleep 12
from=$(milliseconds)
# Every program of ours is /program in its image; what it is is told by its environment.
pids_with() {
  local pid
  for pid in $(ours $(pgrep -x program)); do
    if tr '\0' '\n' 2>/dev/null <"/proc/$pid/environ" | has "^$1="; then echo "$pid"; fi
  done
}
runner_pids() { pids_with DRMWATCH_POOL; }
operator_pids() { pids_with DRMWATCH_DEFAULT_POOL; }
ready() { k get --raw=/readyz; }
all_run() { # every probe was visited in the last fifteen seconds
  visits
  [ "$(awk -v since=$(($(milliseconds) - 15000)) '$1 > since {print $2}' "$folder/visits" | sort -u | grep -c .)" = $probes ]
}
heard() { [ "$(cat "$folder/missed.round" 2>/dev/null || echo 0)" -ge "$1" ]; }
calm() {
  await 90 "every probe runs again after: $1" all_run
}
# What a runner counts when it takes over, and nobody scraped before it dies itself, is lost with it: no Prometheus could know
# it either. So a runner is killed after a round of listening, which takes two seconds. (Not while the API server is away:
# then a round takes long, and a node that is not heard of for forty seconds loses its endpoints.)
hear() { await 30 "what runners count has been heard" heard "$(milliseconds)"; }

# Nothing is waited for between one fault and the next: shards are changing hands when it comes.
settled() {
  local before
  before=$(k -n $runners get leases -l drmwatch.io/lease=shard -o jsonpath='{range .items[*]}{.metadata.name} {.spec.holderIdentity}{"\n"}{end}')
  sleep 8
  [ "$before" = "$(k -n $runners get leases -l drmwatch.io/lease=shard -o jsonpath='{range .items[*]}{.metadata.name} {.spec.holderIdentity}{"\n"}{end}')" ] &&
    [ "$(awk 'NF == 2 {print $2}' <<<"$before" | sort -u | grep -c .)" = 3 ] && [ "$(awk 'NF == 2' <<<"$before" | grep -c .)" = 8 ]
}
settle() { await 120 "each shard has its owner" settled; }

kill -KILL "$(runner_pids | first)"
calm "a runner is killed"
hear

stopped=$(runner_pids | first)
kill -STOP "$stopped"
calm "a runner is stopped (alive, and does nothing)"
replaced() { ! kill -0 "$stopped" 2>/dev/null; }
await 90 "the stopped runner fails its liveness check and is replaced" replaced
hear

cut=$(k -n $runners get pods -l app.kubernetes.io/name=drmwatch-runner -o jsonpath='{.items[0].status.podIP}')
inside nft add table ip chaos
inside nft add chain ip chaos forward '{ type filter hook forward priority 0; }'
inside nft add chain ip chaos input '{ type filter hook input priority 0; }'
for chain in forward input; do inside nft add rule ip chaos $chain ip saddr "$cut" tcp dport 6443 drop; done
sleep "$away"
calm "a runner is cut off from the API server for $away s"
inside nft delete table ip chaos
hear

kill -KILL "$(operator_pids | first)"
kill -STOP "$server"
sleep 5
kill -KILL "$(runner_pids | first)"
calm "an operator is killed, the API server is away, and a runner starts without it, from its cache"
sleep "$away"
calm "the API server is away for $away s"
kill -CONT "$server"
await 60 "the API server is back" ready

kill -STOP "$etcd"
sleep "$away"
calm "etcd is away for $away s"
kill -CONT "$etcd"
await 90 "the API server is back" ready

# Names can't be resolved: that is ours, and must not be called the tenant's.
kill -STOP "$names"
lost() { [ "$(k -n $tenant_ns get drmprobe acme-news -o jsonpath='{.status.conditions[?(@.type=="Healthy")].status}')" = Unknown ]; }
await 60 "a probe whose name can't be resolved is inconclusive" lost
failing() { k get drmprobes -A -o jsonpath='{range .items[*]}{.status.conditions[?(@.type=="Healthy")].status}{"\n"}{end}' | grep -c False; }
[ "$(failing || true)" = 0 ] || fail "chaos of ours is called a tenant's failure"
kill -CONT "$names"
await 60 "names can be resolved again" condition_is drmprobe acme-news Healthy "True Pass"

# No room for the cache of one runner, and every plan changes.
full=$(runner_pids | first)
mount -N "$full" -t tmpfs -o size=16k,mode=1777 tmpfs /cache
manifests 3 | k apply --server-side -f - >/dev/null
await 60 "a runner that can't write its plans says so" query 'drmwatch_runner_cache_errors_total > 0'
calm "the disk of a runner is full"
# The runner may be writing at this very moment.
await 30 "the full disk is taken away" umount -N "$full" /cache
cached() { ! query 'sum by (pod) (drmwatch_runner_cached_plans) != sum by (pod) (drmwatch_shard_probes)' && query 'drmwatch_runner_cached_plans' 3; }
await 60 "every plan is in its runner's cache again" cached

# All at once.
hear
kill -STOP "$server" "$etcd" "$names"
for pid in $(runner_pids | sed -n 1,2p) $(operator_pids); do kill -KILL "$pid"; done
calm "all at once"
kill -CONT "$etcd" "$server" "$names"
await 90 "the API server is back" ready
calm "all is back"
settle

to=$(milliseconds)
sleep 5
visits
"$BINARIES/drmwatch-audit" "$folder/visits" "$folder/missed" --interval fast=5 --interval slow=10 --probes $probes --from "$from" --to "$to"
[ "$(failing || true)" = 0 ] || fail "chaos of ours is called a tenant's failure"

# --- what the shipped alerts made of it
paged() { result 'count by (alertname) (count_over_time(ALERTS{alertstate="firing",severity="page"}[1h]))' | jq -r '.data.result[].metric.alertname'; }
[ -z "$(paged)" ] || fail "someone was paged, though every probe was watched: $(paged)"
k -n $runners patch runnerpool default --type=merge -p '{"spec":{"replicas":0}}'
fires() { query "ALERTS{alertname=\"ProbeNoData\",alertstate=\"firing\",tenant=\"chaos\"}" $probes; }
await 180 "nobody watches: ProbeNoData fires for every probe within three minutes" fires
[ "$(paged)" = ProbeNoData ] || fail "other pages: $(paged)"
k -n $runners patch runnerpool default --type=merge -p '{"spec":{"replicas":2}}'
ended() { ! query 'ALERTS{alertname="ProbeNoData"}'; }
await 120 "they are watched again, and the alerts end" ended

k delete namespace $ns --timeout=180s
k -n $runners patch runnerpool default --type=merge -p '{"spec":{"replicas":2}}'
tenant_leaves
