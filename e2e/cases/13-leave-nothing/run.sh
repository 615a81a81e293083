# An upgrade keeps probes running; deleting the tenant, and then the release, leaves nothing behind.
source "$(dirname "$0")/../../lib.sh"
tenant
owners() { k -n $runners get leases -l drmwatch.io/lease=shard -o jsonpath='{range .items[*]}{.metadata.name} {.spec.holderIdentity}{"\n"}{end}'; }
before=$(owners)
live=$(k -n $runners get pods --field-selector=status.phase=Running -o name)
helm upgrade drmwatch "$root/charts/drmwatch" -n $system --reuse-values --set runners.pool.replicas=1 --wait --timeout 120s
scaled() { [ "$(k -n $runners get deployment drmwatch-runner-default -o jsonpath='{.spec.replicas} {.status.readyReplicas}')" = "1 1" ]; }
await 60 "the pool is scaled by the upgrade" scaled
k -n $runners wait --for=condition=Ready runnerpool/default --timeout=60s
alone() { [ "$(k -n $runners get leases -l drmwatch.io/lease=shard -o jsonpath='{range .items[*]}{.spec.holderIdentity}{"\n"}{end}' | sort | uniq -c | awk '{print $1}')" = 8 ]; }
await 60 "one runner holds all eight shards" alone
# What probes remembered went with their shards: those whose owner left are not looked at twice. Which those
# are follows from their uids; there may be none.
survivor=$(owners | sed 's/.* //' | sort -u)
moved=0
for shard in $(k -n $runners get secrets -l drmwatch.io/probe-uid -o jsonpath='{.items[*].metadata.labels.drmwatch\.io/shard}'); do
  # A shard that nobody held, or a runner that had died, leaves nothing.
  holder=$(sed -n "s/.*-shard-$shard //p" <<<"$before")
  [ -z "$holder" ] || [ "$holder" = "$survivor" ] || ! has -F "$holder" <<<"$live" || moved=1
done
handed() { k -n $runners logs -l app.kubernetes.io/name=drmwatch-runner --tail=-1 | grep "took over what the probes remember" | has -E '"probes":[1-9]'; }
if [ $moved = 1 ]; then await 30 "the memory of a stream travelled with its shard" handed; else echo "no probe's shard changed hands"; fi
k -n $tenant_ns wait --for=condition=Healthy drmprobe/cinema --timeout=60s
k -n $tenant_ns delete monitoredtenant acme --wait --timeout=60s
orphaned() { ! k -n $tenant_ns get drmprobe acme-news; }
await 30 "the default probe goes with its tenant" orphaned
k -n $tenant_ns delete drmprobe cinema --wait --timeout=60s
nothing() { [ -z "$(k -n $runners get secrets,cronjobs -l drmwatch.io/probe-uid -o name)" ]; }
await 30 "no plan is left behind" nothing
unwatched() { ! scraped "$(k -n $runners get pods -l app.kubernetes.io/name=drmwatch-runner -o jsonpath='{.items[0].status.podIP}'):9464" 'probe="cinema"'; }
await 30 "its series have vanished" unwatched
entries() { [ "$(k -n $runners get configmaps -l drmwatch.io/verdicts=true -o json | jq '[.items[].data // {} | length] | add')" = 0 ]; }
await 30 "its verdicts are gone" entries
helm uninstall drmwatch -n $system --wait --timeout 120s
away() { [ -z "$(k get deployments,clusterroles,clusterrolebindings,networkpolicies -A -o name | grep drmwatch)" ] && ! k get namespace $runners 2>/dev/null; }
await 90 "nothing of the release is left" away
k get crd drmprobes.drmwatch.io >/dev/null || fail "an uninstall must keep the CRDs"
empty
