#!/usr/bin/env bash
# Builds what the real cluster is made of, once, into a cache: kube (all of Kubernetes, kubectl included),
# Helm, CoreDNS, prometheus-adapter, Sloth, Prometheus 3, the Prometheus Operator with what it runs, and a pause image.
#   tools.sh BIN
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
bin=${1:?usage: tools.sh BIN}
mkdir -p "$bin"
bin=$(cd "$bin" && pwd)
# Only one at a time: `make test` builds them beside other targets that need them, too.
exec 9>"$bin/.lock"
flock 9
kubernetes=1.34.4 helm=3.19.0 coredns=1.12.4 adapter=0.12.0 sloth=0.11.0 prometheus=0.315.0 operator=0.85.0
command -v go >/dev/null || { echo "needs Go 1.26 or newer (https://go.dev/dl or Debian's golang)" >&2; exit 1; }
stale() { [ "$(cat "$bin/$1.version" 2>/dev/null)" != "$2" ] || [ ! -e "$bin/$1" ]; }
done_() { echo "$2" >"$bin/$1.version"; }
export CGO_ENABLED=0
if stale kube $kubernetes; then
  echo "building Kubernetes $kubernetes (minutes, once)"
  v=k8s.io/component-base/version
  (cd "$here/cluster/kube" && go build -trimpath \
    -ldflags "-s -w -X $v.gitVersion=v$kubernetes -X $v.gitMajor=1 -X $v.gitMinor=34" -o "$bin/kube" .)
  done_ kube $kubernetes
fi
if stale helm $helm; then
  echo "building Helm $helm"
  GOBIN=$bin go install "helm.sh/helm/v3/cmd/helm@v$helm"
  done_ helm $helm
fi
if stale coredns $coredns; then
  echo "building CoreDNS $coredns"
  GOBIN=$bin go install "github.com/coredns/coredns@v$coredns"
  done_ coredns $coredns
fi
if stale prometheus-adapter $adapter; then
  echo "building prometheus-adapter $adapter"
  (cd "$here/cluster/adapter" && go build -trimpath -ldflags "-s -w" -o "$bin/prometheus-adapter" sigs.k8s.io/prometheus-adapter/cmd/adapter)
  done_ prometheus-adapter $adapter
fi
if stale sloth $sloth; then
  echo "building Sloth $sloth"
  (cd "$here/oracles/sloth" && go build -trimpath -ldflags "-s -w" -o "$bin/sloth" github.com/slok/sloth/cmd/sloth)
  done_ sloth $sloth
fi
if stale promtool $prometheus; then
  echo "building Prometheus 3 ($prometheus)"
  (cd "$here/oracles/prometheus" && go build -trimpath -ldflags "-s -w" -tags remove_all_sd,enable_kubernetes_sd -o "$bin/" \
    github.com/prometheus/prometheus/cmd/prometheus github.com/prometheus/prometheus/cmd/promtool)
  done_ promtool $prometheus
fi
if stale prometheus-operator $operator; then
  echo "building the Prometheus Operator $operator and Alertmanager"
  (
    cd "$here/cluster/prometheus-operator"
    module=github.com/prometheus-operator/prometheus-operator
    go build -trimpath -ldflags "-s -w" -o "$bin/prometheus-operator" $module/cmd/operator
    go build -trimpath -ldflags "-s -w" -o "$bin/" $module/cmd/prometheus-config-reloader github.com/prometheus/alertmanager/cmd/alertmanager
    rm -rf "$bin/prometheus-operator-crds"
    cp -r --no-preserve=mode "$(go list -m -f '{{.Dir}}' $module)/example/prometheus-operator-crd" "$bin/prometheus-operator-crds"
  )
  done_ prometheus-operator $operator
fi
# image NAME PROGRAM VERSION: localhost/NAME:e2e of one static program, as NAME.tar
image() {
  stale "$1.tar" "$3" || return 0
  local work; work=$(mktemp -d)
  cp "$2" "$work/program"
  buildah --storage-driver vfs bud --isolation chroot --quiet --build-arg BINARY=program \
    -t "localhost/$1:e2e" -f "${4:-$here/../images/Containerfile}" "$work" >/dev/null
  rm -f "$bin/$1.tar"
  buildah --storage-driver vfs push --quiet "localhost/$1:e2e" "docker-archive:$bin/$1.tar:localhost/$1:e2e"
  rm -rf "$work"
  done_ "$1.tar" "$3"
}
if stale drmwatch-pause.tar 1; then
  (cd "$here/cluster/pause" && go build -trimpath -ldflags "-s -w" -o "$bin/pause" .)
fi
image drmwatch-pause "$bin/pause" 1
image prometheus-operator "$bin/prometheus-operator" $operator
image prometheus-config-reloader "$bin/prometheus-config-reloader" $operator "$here/cluster/prometheus-operator/Containerfile"
image prometheus "$bin/prometheus" $prometheus
image alertmanager "$bin/alertmanager" $operator
