# Every question of every dashboard is asked of the Prometheus that the operator made, which has seen an outage and its end:
# each has an answer, and where faults were planted the right one. A metric that is renamed is noticed. A part of run.sh.
prometheus=http://$(k -n monitoring get pod prometheus-main-0 -o jsonpath='{.status.podIP}'):9090
evaluate() { # FOLDER FLAGS...
  local folder=$1; shift
  inside python3 "$root/e2e/dashboards/evaluate.py" "$prometheus" "$folder" "$root/e2e/dashboards/may-be-empty.tsv" --set tenant=acme --set probe=acme-news --minutes 8 "$@"
}
answers=$CLUSTER/answers.json
evaluated() { evaluate "$root/charts/drmwatch/files/dashboards" --answers "$answers"; }
# A series that has just begun has no rate before its second scrape.
acted() { evaluated && jq -e '[.[] | select(.panel == "What was done") | .result[].metric.action] | index("create") != null and index("solve") != null' "$answers"; }
await 60 "a ticket made and one solved" acted
evaluated
holds() { # WHAT FILTER
  jq -e "def of(\$uid; \$panel): [.[] | select(.uid == \"drmwatch-\" + \$uid and .panel == \$panel) | .result[]]; $2" "$answers" >/dev/null || fail "the dashboards do not show $1"
  echo "seen: $1"
}
holds "all probes that there are" 'of("fleet"; "Probes expected")[0].value[1] == "3"'
holds "the tenants that were down" '[of("fleet"; "Tenants that were down")[].metric.tenant] | sort == ["acme", "other"]'
holds "when they were, and when not" 'of("fleet"; "Tenants that were down")[0].values | map(.[1]) | index("0") != null and index("1") != null'
holds "the reason" '[of("fleet"; "Failures by reason")[].metric.reason] | index("ManifestStale") != null'
holds "nobody down any more" 'of("fleet"; "Down")[0].value[1] == "0"'
holds "availability between none and all" 'of("tenant"; "Available")[0].value[1] | tonumber | . > 0.2 and . < 1'
holds "what was promised" '[of("tenant"; "Objectives")[] | select(.metric.sloth_slo == "up-acme-news")] | length >= 3'
holds "the step and the reason of the probe" '[of("probe"; "Reasons")[].metric | select(.step == "stream" and .reason == "ManifestStale")] | length == 1'
holds "each step of the chain" '[of("probe"; "Steps")[].metric.step] == ["stream"]'
holds "licences by system" '[of("licences"; "Median")[].metric.system] == ["ClearKey"]'
holds "a live edge that is young again" '[of("streams"; "Age of the live edge")[] | .values[-1][1] | tonumber] | max < 20'
holds "one that was old" '[of("streams"; "Age of the live edge")[] | .values[][1] | tonumber] | max > 20'
holds "both runners" 'of("runners"; "Runners")[0].value[1] == "2"'
holds "one leader" '[of("runners"; "Leader")[] | select(.values[-1][1] == "1")] | length == 1'
holds "two bridges" 'of("delivery"; "Bridges")[0].value[1] == "2"'
holds "messages to Slack" "[of(\"delivery\"; \"Alertmanager's notifications\")[].metric.integration] | index(\"slack\") != null and index(\"webhook\") != null"
# Tests that can't fail are none.
mutant=$CLUSTER/mutant
for metric in drmwatch_probe_info drmwatch_license_latency_seconds drmwatch_runner_busy_ratio drmwatch_stream_live_edge_age_seconds; do
  rm -rf "$mutant"; mkdir "$mutant"
  cp "$root"/charts/drmwatch/files/dashboards/*.json "$mutant"
  sed -i "s/$metric/${metric}_gone/g" "$mutant"/*.json
  ! evaluate "$mutant" >/dev/null || fail "nobody notices that $metric is renamed"
done
echo "seen: dashboards with a metric renamed are noticed"
