# The tutorial is a test: every command of docs/getting-started.md that a cluster alone can run is run word for word, and
# prints what the page says it prints. It ends with the page's own clean-up, which must leave nothing.
source "$(dirname "$0")/../../lib.sh"
here=$root/e2e/cases/00-getting-started
[ "$repository" = localhost ] && [ "$tag" = 0.1.0 ] || { echo "SKIPPED: the page's images are localhost/...:0.1.0"; exit 0; }
(cd "$here" && python3 -B -m unittest -q test_page)
# The manifest names the versions that are tested here: Prometheus v3.N.P is the Go module v0.3NN.P.
manifest=$root/examples/getting-started/monitoring.yaml
prometheus=$(sed -n 's|.*image: \(docker.io/prom/prometheus:.*\)|\1|p' "$manifest")
alertmanager=$(sed -n 's|.*image: \(docker.io/prom/alertmanager:.*\)|\1|p' "$manifest")
module() { sed -n "s|.*github.com/prometheus/$1 \(v[0-9.]*\)\( .*\)\?$|\1|p" "$2/go.mod" | first; }
built=$(module prometheus "$root/e2e/oracles/prometheus" | sed -E 's/^v0\.3(0?)([0-9]+)\./v3.\2./')
[ "$prometheus" = "docker.io/prom/prometheus:$built" ] || fail "the manifest names $prometheus, the suite builds $built"
built=$(module alertmanager "$root/e2e/cluster/prometheus-operator")
[ "$alertmanager" = "docker.io/prom/alertmanager:$built" ] || fail "the manifest names $alertmanager, the suite builds $built"
if [ "${E2E_CONTEXT:-}" != current ]; then
  # The same programs, from their source, under the names that the manifest uses: this cluster has no way out.
  for pair in "prometheus $prometheus" "alertmanager $alertmanager"; do
    ctr -a "$CLUSTER/containerd.sock" -n k8s.io images import "$BIN/${pair% *}.tar" >/dev/null
    ctr -a "$CLUSTER/containerd.sock" -n k8s.io images tag --force "localhost/${pair% *}:e2e" "${pair#* }" >/dev/null
  done
  # What a reader calls kubectl and helm, here for this cluster. A command may fail and be tried again: no trap tells of it.
  shims=$(mktemp -d)
  trap 'rm -rf "$shims"' EXIT
  for pair in "kubectl k" "helm helm"; do
    printf '#!/usr/bin/env bash\nsource %q\ntrap - ERR\n%s "$@"\n' "$root/e2e/lib.sh" "${pair#* }" >"$shims/${pair% *}"
    chmod 0755 "$shims/${pair% *}"
  done
  export PATH="$shims:$PATH"
fi
empty
python3 -B "$here/page.py" "$root/docs/getting-started.md"
left() { k get namespaces,clusterroles,clusterrolebindings,customresourcedefinitions -o name | grep -E 'drmwatch|practice|acme'; }
! left || fail "the page's clean-up leaves this"
