#!/usr/bin/env bash
# Virtual environments with implementations that are not ours.   setup.sh FOLDER
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
for environment in widevine:requirements.txt cpix:requirements-cpix.txt zenpy:../zendesk/requirements.txt; do
  at=$1/${environment%%:*} wanted=$here/${environment##*:}
  cmp -s "$wanted" "$at/wanted.txt" && continue
  rm -rf "$at"
  python3 -m venv "$at"
  "$at/bin/pip" install --quiet --disable-pip-version-check -r "$wanted"
  cp "$wanted" "$at/wanted.txt"
done
