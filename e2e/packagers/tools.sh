#!/usr/bin/env bash
# Builds gohlslib's low-latency origin, once, into a cache.   tools.sh BIN
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
bin=${1:?usage: tools.sh BIN}
mkdir -p "$bin"
bin=$(cd "$bin" && pwd)
command -v go >/dev/null || { echo "needs Go 1.25 or newer (https://go.dev/dl)" >&2; exit 1; }
version=$(cat "$here"/gohlslib/{go.mod,go.sum,main.go} | sha256sum | cut -c1-16)
[ "$(cat "$bin/gohlslib.version" 2>/dev/null)" != "$version" ] || [ ! -e "$bin/gohlslib" ] || exit 0
echo "building gohlslib's origin"
(cd "$here/gohlslib" && CGO_ENABLED=0 go build -trimpath -o "$bin/gohlslib" .)
echo "$version" >"$bin/gohlslib.version"
