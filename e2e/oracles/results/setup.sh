#!/usr/bin/env bash
# Python with pyarrow, which reads what drmwatch wrote, and moto, which is an S3.   setup.sh FOLDER
set -euo pipefail
folder=${1:?usage: setup.sh FOLDER} here=$(cd "$(dirname "$0")" && pwd)
cmp -s "$here/requirements.txt" "$folder/requirements.txt" && exit 0
mkdir -p "$folder"
python3 -m venv "$folder"
"$folder/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
cp "$here/requirements.txt" "$folder/requirements.txt"
