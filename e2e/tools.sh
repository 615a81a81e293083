#!/usr/bin/env bash
# Builds what the real cluster is made of, once, into a cache: kube (all of Kubernetes, kubectl included),
# Helm, CoreDNS, prometheus-adapter and a pause image.   tools.sh BIN
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
bin=${1:?usage: tools.sh BIN}
mkdir -p "$bin"
bin=$(cd "$bin" && pwd)
kubernetes=1.34.4 helm=3.19.0 coredns=1.12.4 adapter=0.12.0 sloth=0.11.0
command -v go >/dev/null || { echo "needs Go 1.24 or newer (https://go.dev/dl or Debian's golang)" >&2; exit 1; }
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
if stale pause.tar 1; then
  work=$(mktemp -d)
  (cd "$here/cluster/pause" && go build -trimpath -ldflags "-s -w" -o "$work/pause" .)
  buildah --storage-driver vfs bud --isolation chroot --quiet --build-arg BINARY=pause \
    -t localhost/drmwatch-pause:e2e -f "$here/../images/Containerfile" "$work" >/dev/null
  rm -f "$bin/pause.tar"
  buildah --storage-driver vfs push --quiet localhost/drmwatch-pause:e2e "docker-archive:$bin/pause.tar:localhost/drmwatch-pause:e2e"
  rm -rf "$work"
  done_ pause.tar 1
fi
