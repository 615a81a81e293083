# The death of a runner, of the leader and of the API server: probes go on.
source "$(dirname "$0")/../../lib.sh"
runs() { # sum of finished slots over the runners that answer
  local ip
  for ip in $(k -n $runners get pods -l app.kubernetes.io/name=drmwatch-runner --field-selector=status.phase=Running -o jsonpath='{.items[*].status.podIP}'); do
    scraped "$ip:9464" '^drmwatch_probe_last_run_timestamp_seconds\{.*probe="'"$1"'"' 2>/dev/null || true
  done | sed 's/.* //' | sort -g | tail -1
}
fresh() { [ "$(printf '%.0f' "$(runs "$1")")" -gt "$2" ]; }
holders() { k -n $runners get leases -l drmwatch.io/lease=shard -o jsonpath='{range .items[*]}{.spec.holderIdentity}{"\n"}{end}' | sort -u; }
two() { [ "$(holders | grep -c .)" = 2 ]; }
await 60 "both runners hold shards" two
victim=$(holders | first)
now=$(date +%s)
k -n $runners delete pod "$victim" --grace-period=0 --force
taken() { ! holders | has "$victim"; }
await 60 "the dead runner's shards are taken over" taken
for probe in cinema acme-news; do await 30 "$probe runs on" fresh $probe $((now + 12)); done
old=$(leader)
k -n $system delete pod --grace-period=0 --force "$(k -n $system get pods -o wide | awk -v ip="${old%:*}" '$6 == ip {print $1}')"
other() { local at; at=$(leader) && [ "$at" != "$old" ]; }
await 60 "another operator leads" other
# A change after the change of leader is carried out.
k -n $tenant_ns patch drmprobe cinema --type=merge -p '{"spec":{"schedule":{"suspend":true}}}'
await 30 "suspended" condition_is drmprobe cinema Healthy "Unknown Suspended"
k -n $tenant_ns patch drmprobe cinema --type=merge -p '{"spec":{"schedule":{"suspend":false}}}'
await 30 "resumed" condition_is drmprobe cinema Healthy "True Pass"
[ "${E2E_CONTEXT:-}" != current ] || exit 0
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
