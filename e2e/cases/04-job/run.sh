# The same probe as a real CronJob gives the same verdict, good and bad, through the termination message; and by cron in a
# resident runner.
source "$(dirname "$0")/../../lib.sh"
tenant
job() { k -n $tenant_ns get drmprobe cinema -o json | jq '{apiVersion, kind, metadata: {name: "cinema-job", namespace: .metadata.namespace}, spec: (.spec + {execution: "Job", schedule: {intervalSeconds: 60}, timeoutSeconds: 20})}'; }
job | k apply -f -
uid=$(k -n $tenant_ns get drmprobe cinema-job -o jsonpath='{.metadata.uid}')
await 30 "a real CronJob" k -n $runners get cronjob "probe-$uid"
# Should it never start, the shipped alert has something to count from.
since() { scraped "$(leader)" 'drmwatch_probe_watched_since_timestamp_seconds\{.*probe="cinema-job"'; }
await 30 "since when it is expected" since
await 150 "the verdict of the CronJob's own slot" condition_is drmprobe cinema-job Healthy "True Pass"
# From here on no slot comes by itself: which run is looked at must not hang on when the minute turns.
k -n $tenant_ns patch drmprobe cinema-job --type=json -p '[{"op": "replace", "path": "/spec/schedule", "value": {"cron": "0 0 29 2 *"}}]'
still() { [ "$(k -n $runners get cronjob "probe-$uid" -o jsonpath='{.spec.schedule}/{.status.active}')" = "0 0 29 2 */" ]; }
await 60 "the changed schedule" still
world PUT /admin/faults/license-wrong-key
await 30 "the resident verdict" condition_is drmprobe cinema Healthy "False CanaryNotOpened"
k -n $runners create job now --from="cronjob/probe-$uid"
await 90 "the same verdict from the Job" condition_is drmprobe cinema-job Healthy "False CanaryNotOpened"
exit_code() { [ "$(k -n $runners get pods -l job-name=now -o jsonpath='{.items[0].status.containerStatuses[0].state.terminated.exitCode}')" = "$1" ]; }
await 30 "exit code 1 of a failing run" exit_code 1
series() { scraped "$(leader)" 'drmwatch_probe_failure_info\{.*probe="cinema-job".*reason="CanaryNotOpened"[^}]*\} 1'; }
await 30 "the series of the Job's outcome" series
world DELETE /admin/faults/license-wrong-key
await 30 "healed" condition_is drmprobe cinema Healthy "True Pass"
k -n $tenant_ns delete drmprobe cinema-job --wait --timeout=30s
gone() { ! k -n $runners get cronjob "probe-$uid" 2>/dev/null && ! k -n $runners get secret "probe-$uid" 2>/dev/null; }
await 30 "CronJob and plan are gone" gone
# By cron, but resident: due every few seconds, with the meaning of a CronJob.
k -n $tenant_ns get drmprobe cinema -o json | jq '{apiVersion, kind, metadata: {name: "cinema-cron", namespace: .metadata.namespace}, spec: (.spec + {execution: "Resident", schedule: {cron: "@every 5s", timeZone: "Asia/Kathmandu"}, timeoutSeconds: 4})}' | k apply -f -
await 30 "a resident probe by cron" condition_is drmprobe cinema-cron Healthy "True Pass"
k -n $tenant_ns patch drmprobe cinema-cron --type=merge -p '{"spec":{"schedule":{"timeZone":"Mars/Olympus"}}}'
await 20 "an unknown zone" condition_is drmprobe cinema-cron Ready "False InvalidProbe"
k -n $tenant_ns delete drmprobe cinema-cron --wait --timeout=30s
tenant_leaves
