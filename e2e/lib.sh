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
# What a case can begin with. Each brings about a state and asks nothing of what there was before:
#   empty     a cluster without the product
#   product   the release with its base values, and the practice world
#   tenant    besides, the tenant `acme` with its probes `cinema` and `acme-news`, all healthy
# A case ends with what takes away all that it made (`tenant_leaves`, `base_values`); left.sh looks.
base=(--set region=e2e --set image.repository="$repository" --set image.tag="$tag" --set runners.pool.shards=8
  --set 'runners.pool.egress.allowCidrs={10.94.0.0/16,10.96.0.0/16}')
values() { helm get values drmwatch -n $system -o json 2>/dev/null; }
# Other values, or a runner's or an operator's image that was built since: a cluster that is kept has seen another day.
images_of() { [ -z "${IMAGES:-}" ] || cat $IMAGES | sha256sum; }
empty() {
  ! values >/dev/null || helm uninstall drmwatch -n $system --wait --timeout 120s
  k delete namespace $tenant_ns $world_ns $system $runners --ignore-not-found --wait --timeout=90s
  k delete -f "$root/crds" --ignore-not-found --wait --timeout=60s
}
product() {
  if [ -n "${CLUSTER:-}" ] && [ "$(images_of)" != "$(cat "$CLUSTER/images.sum" 2>/dev/null)" ]; then
    # up.sh has loaded them if nothing is installed yet.
    if values >/dev/null; then
      empty
      local image
      for image in $IMAGES; do ctr -a "$CLUSTER/containerd.sock" -n k8s.io images import "$image" >/dev/null; done
    fi
    images_of >"$CLUSTER/images.sum"
  fi
  if values >/dev/null; then
    # `values` differ where a case that failed has changed them.
    if [ "$(values)" != "$(k -n $system get configmap e2e-base -o jsonpath='{.data.values}' 2>/dev/null)" ]; then base_values; fi
  else
    k create namespace $system
    k label namespace $system pod-security.kubernetes.io/enforce=restricted
    helm install drmwatch "$root/charts/drmwatch" -n $system "${base[@]}" --wait --timeout 120s
    k -n $system create configmap e2e-base --from-literal=values="$(values)"
  fi
  sed "s|REPOSITORY|$repository|; s|TAG|$tag|" "$root/e2e/world.yaml" | k apply -f -
  k -n $world_ns rollout status deployment/world --timeout=60s
  k -n $runners wait --for=condition=Ready runnerpool/default --timeout=90s
}
base_values() { helm upgrade drmwatch "$root/charts/drmwatch" -n $system --reset-values "${base[@]}" --wait --timeout 180s >/dev/null; }
tenant() {
  # A case that failed has left it: its faults, too, are of yesterday.
  if k get namespace $tenant_ns 2>/dev/null; then
    tenant_leaves
    k -n $world_ns delete pods --all --ignore-not-found --wait
  fi
  product
  k apply -f "$root/e2e/tenant.yaml"
  await 30 "the service's default probe" k -n $tenant_ns get drmprobe acme-news
  k -n $tenant_ns wait --for=condition=Healthy drmprobe/cinema drmprobe/acme-news monitoredtenant/acme --timeout=90s
}
tenant_leaves() {
  k -n $tenant_ns delete slareports,maintenancewindows,drmprobes,monitoredtenants --all --wait --timeout=90s
  k delete namespace $tenant_ns --wait --timeout=90s
}
# condition KIND NAME TYPE: "STATUS REASON" of a condition of an object of the tenant.
condition() {
  k -n "$tenant_ns" get "$1" "$2" -o "jsonpath={.status.conditions[?(@.type==\"$3\")].status} {.status.conditions[?(@.type==\"$3\")].reason}"
}
condition_is() { [ "$(condition "$1" "$2" "$3")" = "$4" ]; }
world() { # METHOD PATH: to the world's switches
  inside curl -fsS -X "$1" "http://$(k -n $world_ns get service world -o jsonpath='{.spec.clusterIP}'):8080$2"
}
# ours PID...: those in pods of this cluster; there may be another cluster on this machine.
ours() {
  local pid
  for pid in "$@"; do ! grep -qs "$CLUSTER/kubelet/pods/" "/proc/$pid/mountinfo" || echo "$pid"; done
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
