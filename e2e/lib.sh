# For the cases: a cluster, ways into it, and waiting on observed state. Sourced, not run.
#
# With E2E_CONTEXT=current the cases run against the current kubeconfig instead of a cluster of their
# own; then the images must be where that cluster finds them (E2E_IMAGE_REPOSITORY, E2E_IMAGE_TAG).
set -Eeuo pipefail
trap 'echo "FAIL at ${BASH_SOURCE[0]##*/cases/}:$LINENO: $BASH_COMMAND" >&2' ERR
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
system=drmwatch-system runners=drmwatch-runners tenant_ns=acme world_ns=world
repository=${E2E_IMAGE_REPOSITORY:-localhost} tag=${E2E_IMAGE_TAG:-0.1.0}

inside() { # in the cluster's network
  if [ "${E2E_CONTEXT:-}" = current ]; then "$@"; else nsenter --net="/var/run/netns/$(cat "$CLUSTER/netns")" "$@"; fi
}
k() {
  if [ "${E2E_CONTEXT:-}" = current ]; then kubectl "$@"
  else inside env KUBECONFIG="$CLUSTER/admin.kubeconfig" "$BIN/kube" kubectl "$@"; fi
}
helm() {
  if [ "${E2E_CONTEXT:-}" = current ]; then command helm "$@"
  else inside env KUBECONFIG="$CLUSTER/admin.kubeconfig" HOME="$CLUSTER" "$BIN/helm" "$@"; fi
}
# has PATTERN...: does standard input hold a match? Reads to the end, where `grep -q` (and grep onto
# /dev/null) stops at the first match, and under pipefail fails the writer before it by SIGPIPE.
has() { local found; found=$(grep "$@"); }
first() { sed -n 1p; }
fail() { echo "FAIL: $*" >&2; return 1; }
# await LIMIT WHAT COMMAND...: until the command succeeds; on time-out it says what was awaited.
await() {
  local limit=$1 what=$2 deadline; shift 2
  deadline=$((SECONDS + limit))
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $deadline ] || { fail "not seen in $limit s: $what"; return 1; }
    sleep 0.3
  done
  echo "seen: $what"
}
# condition KIND NAME TYPE: "STATUS REASON" of a condition of an object of the tenant.
condition() {
  k -n "$tenant_ns" get "$1" "$2" -o "jsonpath={.status.conditions[?(@.type==\"$3\")].status} {.status.conditions[?(@.type==\"$3\")].reason}"
}
condition_is() { [ "$(condition "$1" "$2" "$3")" = "$4" ]; }
world() { # METHOD PATH: to the world's switches
  inside curl -fsS -X "$1" "http://$(k -n $world_ns get service world -o jsonpath='{.spec.clusterIP}'):8080$2"
}
# scrape POD-IP:PORT PATTERN
scraped() { local text; text=$(inside curl -fsS "http://$1/metrics") && grep -E "$2" <<<"$text"; }
leader() {
  local ip
  for ip in $(k -n $system get pods -l app.kubernetes.io/name=drmwatch-operator -o jsonpath='{.items[*].status.podIP}'); do
    if scraped "$ip:9465" '^drmwatch_operator_leader\{region="[^"]*"\} 1' >/dev/null; then echo "$ip:9465"; return; fi
  done
  return 1
}
