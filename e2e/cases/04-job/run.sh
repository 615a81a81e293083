# The same probe as a real CronJob gives the same verdict, good and bad, through the termination message.
source "$(dirname "$0")/../../lib.sh"
job() { k -n $tenant_ns get drmprobe cinema -o json | jq '{apiVersion, kind, metadata: {name: "cinema-job", namespace: .metadata.namespace}, spec: (.spec + {execution: "Job", schedule: {intervalSeconds: 60}, timeoutSeconds: 20})}'; }
job | k apply -f -
uid=$(k -n $tenant_ns get drmprobe cinema-job -o jsonpath='{.metadata.uid}')
await 30 "a real CronJob" k -n $runners get cronjob "probe-$uid"
# A slot now, instead of waiting for the minute: made from the CronJob itself.
k -n $runners create job "now-1" --from="cronjob/probe-$uid"
await 90 "the Job's verdict" condition_is drmprobe cinema-job Healthy "True Pass"
world PUT /admin/faults/license-wrong-key
await 30 "the resident verdict" condition_is drmprobe cinema Healthy "False CanaryNotOpened"
k -n $runners create job "now-2" --from="cronjob/probe-$uid"
await 90 "the same verdict from the Job" condition_is drmprobe cinema-job Healthy "False CanaryNotOpened"
pod=$(k -n $runners get pods -l job-name=now-2 -o jsonpath='{.items[0].metadata.name}')
[ "$(k -n $runners get pod "$pod" -o jsonpath='{.status.containerStatuses[0].state.terminated.exitCode}')" = 1 ] || fail "exit code 1 expected"
scraped "$(leader)" 'drmwatch_probe_failure_info\{.*probe="cinema-job".*reason="CanaryNotOpened"\} 1' || fail "no series of the Job's outcome"
world DELETE /admin/faults/license-wrong-key
await 30 "healed" condition_is drmprobe cinema Healthy "True Pass"
k -n $tenant_ns delete drmprobe cinema-job --wait --timeout=30s
gone() { ! k -n $runners get cronjob "probe-$uid" 2>/dev/null && ! k -n $runners get secret "probe-$uid" 2>/dev/null; }
await 30 "CronJob and plan are gone" gone
