#!/usr/bin/env bash
# A month of results, and pyarrow beside it in the same run.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${RESULTS_ORACLE:-${XDG_CACHE_HOME:-$HOME/.cache}/drmwatch/results/bin/python}
bash e2e/oracles/results/setup.sh "$(dirname "$(dirname "$python")")"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
RESULTS_FOLDER=$folder cargo bench --quiet -p drmwatch-runs --bench month | tee "$folder/ours"
"$python" e2e/oracles/results/count.py "$folder/store" "$folder/keys" | tee "$folder/theirs"
awk '{v[$1] = $2} END {printf "pyarrow_over_ours_wall %.2f times\npyarrow_over_ours_cpu %.2f times\n", v["pyarrow_counted_in"] / v["consolidated_in"], v["pyarrow_counted_with"] / v["consolidated_with"]}' "$folder/ours" "$folder/theirs"
