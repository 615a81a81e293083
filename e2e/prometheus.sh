# For the cases that scrape: Debian's Prometheus over every pod of ours, what else a case starts, and who listens to what
# runners say they missed. Sourced after lib.sh.
pids=()
stop_all() { for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done; wait || true; }
trap stop_all EXIT
# start PROGRAM ARGUMENTS...: in the cluster's network, until the case ends
start() {
  setsid nsenter --net="/var/run/netns/$(cat "$CLUSTER/netns")" "$@" >>"$CLUSTER/log/$(basename "$1").log" 2>&1 </dev/null &
  pids+=($!)
}
# Debian builds Prometheus without kubernetes_sd: the pods are discovered by the same label and port name, asked of the
# API server and handed over as a file. While the API server is away they are those that there were.
discover() { # FILE
  while sleep 1; do
    k --request-timeout=5s get pods -A -l 'app.kubernetes.io/name in (drmwatch-operator,drmwatch-runner)' -o json |
      jq '[.items[] | select(.status.podIP != null and .metadata.deletionTimestamp == null) |
        {labels: {pod: .metadata.name, namespace: .metadata.namespace},
         targets: [.status.podIP + ":" + (.spec.containers[0].ports[] | select(.name == "metrics") | .containerPort | tostring)]}]' \
        >"$1.new" && mv "$1.new" "$1"
  done
}
# prometheus_up FOLDER SECONDS [CONFIG]: scrapes every so many seconds; more of its configuration on the left
prometheus_up() {
  mkdir -p "$1"
  {
    printf 'global: {scrape_interval: %ss, evaluation_interval: %ss}\n%s\n' "$2" "$2" "${3:-}"
    printf 'scrape_configs:\n- job_name: drmwatch\n  file_sd_configs: [{files: [%s/pods.json], refresh_interval: 1s}]\n' "$1"
  } >"$1/prometheus.yml"
  promtool check config "$1/prometheus.yml"
  discover "$1/pods.json" 2>/dev/null & pids+=($!)
  start prometheus --config.file="$1/prometheus.yml" --storage.tsdb.path="$1/tsdb" --web.listen-address=127.0.0.1:9090
}
result() { inside curl -fsS 127.0.0.1:9090/api/v1/query --data-urlencode "query=$1"; }
# query EXPRESSION [COUNT]: has it at least so many results?
query() { result "$1" | jq -e ".data.result | length >= ${2:-1}"; }
# listen TENANT FILE: lines RUNNER PROBE CAUSE COUNT. A runner that is dead or stopped says nothing. FILE.round is when the
# last whole round began, in milliseconds.
listen() {
  local ips= began
  while sleep 2; do
    began=$(date +%s%3N)
    ips=$(k --request-timeout=3s -n $runners get pods -l app.kubernetes.io/name=drmwatch-runner -o jsonpath='{.items[*].status.podIP}' || echo "$ips")
    for ip in $ips; do
      # A program that was started anew counts anew, perhaps to the same number: it is another runner.
      { inside curl -fsS -m 2 "http://$ip:9464/metrics" 2>/dev/null || true; } |
        awk -v ip="$ip" -v tenant="tenant=\"$1\"" -v FS='[{} ]' '
          /^process_start_time_seconds/ {started = $NF}
          /^drmwatch_probe_slots_missed_total/ && index($0, tenant) {
            match($0, /probe="[^"]*"/); probe = substr($0, RSTART + 7, RLENGTH - 8)
            match($0, /cause="[^"]*"/); told[probe " " substr($0, RSTART + 7, RLENGTH - 8)] = $NF
          }
          END {for (what in told) print ip "@" started, what, told[what]}' >>"$2"
    done
    echo "$began" >"$2.round"
  done
}
