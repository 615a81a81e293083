#!/usr/bin/env bash
# A demonstration on the loopback interface: starts a practice service (test origin, token server, license server) and a
# runner that probes it, breaks a stream, and repairs it. Runs until Ctrl-C. With DEMO_SECONDS it ends by itself, with
# status 0 only if the runner reported the break for the right reason and the repair too.
#   run.sh [FOLDER-WITH-BINARIES]     without a folder, the programs are built first
set -euo pipefail
cd "$(dirname "$0")/.."
host=127.0.0.1
service=http://$host:8088 metrics=http://$host:9464/metrics
work=$(mktemp -d)
service_pid='' runner_pid='' tail_pid='' finished=
say() { printf '%s\n' "$@"; }
fail() { say '' "The demo failed: $1" "${@:2}" >&2; exit 1; }
stop() {
  trap - EXIT INT TERM
  local pid
  # The runner first: what it still probes must not fail because the service is gone.
  for pid in $tail_pid $runner_pid $service_pid; do
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
  rm -rf "$work"
}
trap stop EXIT
# The usual way to end the demo, once it has shown everything.
interrupted() { say '' 'Stopping the demo.'; [ -n "$finished" ] || exit 130; exit 0; }
trap interrupted INT TERM

build() {
  local folder=${CARGO_TARGET_DIR:-target}
  bin=$folder/debug
  say "Step 1: compile drmwatch-runner and drmwatch-world into $folder."
  [ -e "$bin/drmwatch-runner" ] ||
    say '  The first build compiles about 500 crates. It takes 3 to 10 minutes, depending' \
      '  on the computer. Later builds take seconds.'
  local cargo=(cargo build -p drmwatch-runner -p drmwatch-testkit --bin drmwatch-runner --bin drmwatch-world)
  if [ -t 2 ]; then
    # Cargo shows its own progress on a terminal.
    "${cargo[@]}" || fail 'the programs do not compile; see the messages of cargo above'
    return
  fi
  # Elsewhere, one line every ten seconds: cargo rewrites its progress bar in place, ended by carriage returns.
  CARGO_TERM_COLOR=never CARGO_TERM_PROGRESS_WHEN=always CARGO_TERM_PROGRESS_WIDTH=100 "${cargo[@]}" 2>&1 |
    stdbuf -o0 tr '\r' '\n' | sed -u 's/\x1b\[[0-9;]*[A-Za-z]//g' | {
    local line last=-10
    while IFS= read -r line; do
      if [[ $line =~ ^\ *Building\ \[.*\]\ ([0-9]+)/([0-9]+)(:\ ([^ ,]+))? ]]; then
        [ $((SECONDS - last)) -ge 10 ] || continue
        last=$SECONDS
        say "  ${SECONDS} s: compiled ${BASH_REMATCH[1]} of ${BASH_REMATCH[2]} crates${BASH_REMATCH[4]:+, now ${BASH_REMATCH[4]}}"
      elif [[ $line =~ ^\ *(Compiling|Blocking)\  || $line =~ ^\ *$ ]]; then :
      else say "$line"; fi
    done
  } || fail 'the programs do not compile; see the messages of cargo above'
}

# Fails if the port is taken: the demo would talk to another program.
free() { # port, what
  ! (exec 3<>"/dev/tcp/$host/$1") 2>/dev/null ||
    fail "port $1 on $host is in use, and the $2 needs it." "Find the program that uses it with: ss -ltnp 'sport = :$1'"
}

say 'drmwatch demo. Everything runs on this computer, on the loopback interface.' '' \
  '  1. Compile the runner and the practice service.' \
  '  2. Start the practice service (test origin, token server, license server)' \
  '     and a runner with four probes.' \
  '  3. Break the live streams: the live edge stops moving. The runner must' \
  '     report ManifestStale.' \
  '  4. Repair them. The runner must report Pass.' ''
free 8088 'practice service'
free 9464 "runner's metrics page"
if [ -n "${1:-}" ]; then bin=$1; else build; fi

say '' "Step 2: start the practice service on $service and the runner."
touch "$work/service" "$work/log"
"$bin/drmwatch-world" --https-port 0 >"$work/service" 2>&1 &
service_pid=$!
until grep -q "^$service " "$work/service"; do
  kill -0 $service_pid 2>/dev/null || fail 'the practice service does not start:' "$(cat "$work/service")"
  sleep 0.1
done
say '  The probes are in demo/probes/acme.yaml. Every 5 seconds:' \
  '    acme-news-hls   reads a live HLS stream: manifests, segments, and how old' \
  '                    the live edge is (the newest moment of the stream)' \
  '    acme-news-dash  does the same with a live DASH stream' \
  '    acme-cinema     gets a token, reads an encrypted live stream, requests a' \
  '                    license, and decrypts a segment with its key' \
  '    acme-no-token   requests a license without a token; it must be refused' ''
DRMWATCH_LOG=${DRMWATCH_LOG:-error} "$bin/drmwatch-runner" demo/probes --allow-cidr 127.0.0.0/8 --table 2>"$work/log" &
runner_pid=$!
tail -n +1 -f "$work/log" >&2 &
tail_pid=$!

# The value of drmwatch_probe_success of a probe, or nothing.
success() { curl -fs "$metrics" | sed -n "s/^drmwatch_probe_success{.*probe=\"$1\".*} //p" | sed -n 1p; }
await() { # what, value, limit, probes
  local probe deadline=$((SECONDS + $3))
  for probe in "${@:4}"; do
    until [ "$(success "$probe" || true)" = "$2" ]; do
      kill -0 $runner_pid 2>/dev/null || fail 'the runner has stopped:' "$(cat "$work/log")"
      [ $SECONDS -lt $deadline ] || fail "after $3 seconds, the runner does not report that $probe $1"
      sleep 0.2
    done
  done
}
# The table redraws itself in place, at most thirteen lines up from the cursor. On a terminal, the text leaves that much
# room below it: the table as it was stays above. All in one write, so that the table does not come between.
explain() {
  local text
  # The table shows a verdict within a quarter of a second of the metrics.
  sleep 0.5
  printf -v text '%s\n' '' "$@" ''
  [ ! -t 1 ] || printf -v text '%s\n\n\n\n\n\n\n\n\n\n\n\n\n' "$text"
  printf '%s' "$text"
}
reason() { curl -fs "$metrics" | grep "^drmwatch_probe_failure_info{.*probe=\"$1\"" | sed -n 's/.*reason="\([^"]*\)".*/\1/p'; }

all=(acme-news-hls acme-news-dash acme-cinema acme-no-token)
await passes 1.0 30 "${all[@]}"
explain 'All four probes pass:' \
  '  acme-news-hls, acme-news-dash: the manifests are valid, the segments can be' \
  '    read, and the live edge moves.' \
  '  acme-cinema: token server, stream and license server work together, and the' \
  '    license decrypts the stream.' \
  '  acme-no-token: Pass means that the license server refused a request without' \
  '    a token, as it must.' '' \
  'Step 3: break the live streams. The origin still answers every request, but' \
  'the live edge stops moving:' \
  "  curl -X PUT $service/admin/faults/freeze" \
  'The runner compares the live edge of two runs before it reports a failure.' \
  'This takes up to 30 seconds.'
curl -fs -X PUT "$service/admin/faults/freeze" >/dev/null
streams=(acme-news-hls acme-news-dash acme-cinema)
await fails 0.0 60 "${streams[@]}"
for probe in "${streams[@]}"; do
  [ "$(reason $probe)" = ManifestStale ] ||
    fail "$probe failed with the reason '$(reason $probe)'; ManifestStale was expected"
done
explain 'The three probes that read a live stream report Fail(ManifestStale):' \
  '  The server answers, but the manifest gets no new segments. Viewers see the' \
  '  picture stop. The live edge check found it: it compares the live edge with' \
  '  the one of earlier runs. A check of the HTTP status alone would pass.' \
  '  acme-no-token still passes: the license server is not affected.' '' \
  'Step 4: repair the streams:' \
  "  curl -X DELETE $service/admin/faults/freeze"
curl -fs -X DELETE "$service/admin/faults/freeze" >/dev/null
await passes 1.0 60 "${all[@]}"
finished=yes
explain 'All probes pass again. The runner reported the break with the right reason,' 'and it reported the repair.' '' \
  'What to look at now:' \
  "  $metrics        all metrics of the runner, for Prometheus" \
  "  $service/admin/faults   the other faults of the practice service" \
  '  demo/probes/acme.yaml                the probes; the runner reloads the file' '' \
  'What to try next, in a second terminal:' \
  '  Break the license server (-X DELETE instead of -X PUT repairs it):' \
  "    curl -X PUT $service/admin/faults/license-down" \
  '  Validate the probe files:' \
  "    $bin/drmwatch-runner --check demo/probes" \
  '  Install drmwatch in Kubernetes: docs/getting-started.md' '' \
  "$(if [ -n "${DEMO_SECONDS:-}" ]; then echo 'The demo ends by itself.'; else echo 'Ctrl-C ends the demo.'; fi)"
if [ -n "${DEMO_SECONDS:-}" ]; then
  while [ $SECONDS -lt "$DEMO_SECONDS" ]; do
    kill -0 $runner_pid 2>/dev/null || fail 'the runner has stopped:' "$(cat "$work/log")"
    sleep 0.2
  done
  exit 0
fi
wait $runner_pid || true
fail 'the runner has stopped:' "$(cat "$work/log")"
