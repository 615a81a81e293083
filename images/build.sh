#!/usr/bin/env bash
# Builds the images from static binaries, without a Docker daemon where there is none.
#
#   build.sh BINARIES OUT [TAG]    BINARIES: folder with drmwatch, drmwatch-{operator,runner,bridge,reader,world}
#                                  OUT: folder for NAME.tar (docker-archive) with buildah; with docker or
#                                  podman the images also land in the local store
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
binaries=$(cd "${1:?usage: build.sh BINARIES OUT [TAG]}" && pwd) out=${2:?} tag=${3:-0.1.0}
mkdir -p "$out"
tool=${IMAGE_TOOL:-}
if [ -z "$tool" ]; then
  if docker info >/dev/null 2>&1; then tool=docker
  elif command -v podman >/dev/null && podman info >/dev/null 2>&1; then tool=podman
  elif command -v buildah >/dev/null; then tool=buildah
  else echo "needs docker, podman or buildah (Debian: apt-get install buildah)" >&2; exit 1; fi
fi
for name in drmwatch drmwatch-operator drmwatch-runner drmwatch-bridge drmwatch-reader drmwatch-world; do
  image=localhost/$name:$tag
  context=$(mktemp -d)
  cp "$binaries/$name" "$context/"
  chmod 0755 "$context/$name"
  case $tool in
  buildah)
    buildah --storage-driver vfs bud --isolation chroot --quiet --build-arg BINARY=$name -t "$image" -f "$here/Containerfile" "$context" >/dev/null
    rm -f "$out/$name.tar"
    buildah --storage-driver vfs push --quiet "$image" "docker-archive:$out/$name.tar:$image"
    ;;
  *)
    $tool build --quiet --build-arg BINARY=$name -t "$image" -f "$here/Containerfile" "$context" >/dev/null
    $tool save "$image" -o "$out/$name.tar"
    ;;
  esac
  rm -rf "$context"
  printf '%-40s %s bytes\n' "$image" "$(stat -c %s "$out/$name.tar")"
done
