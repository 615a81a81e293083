# Install by Helm on namespaces that enforce Pod Security level `restricted`; apply a tenant and a probe;
# all becomes healthy; and then nothing is written any more.
source "$(dirname "$0")/../../lib.sh"
empty
tenant
k get drmwatch -A
# Two replicas, one leader.
[ "$(k -n $system get pods -l app.kubernetes.io/name=drmwatch-operator --field-selector=status.phase=Running -o name | wc -l)" = 2 ] || fail "two operators expected"
at=$(leader)
# Steady state: verdicts stay, probes run, nothing is written. Two equal counts ten seconds apart, after
# whatever the start has left over.
writes() { scraped "$at" '^drmwatch_operator_writes_total' | sort; }
steady() { local before; before=$(writes); sleep 10; [ -n "$before" ] && [ "$before" = "$(writes)" ]; }
await 60 "no write in steady state" steady
# No secret value outside of the keys made for it.
plans=$(k -n $runners get secrets -l drmwatch.io/probe-uid -o json | jq -r '.items[].data["plan.json"] | @base64d')
grep -q '"credentials"' <<<"$plans" || fail "no plans found"
! grep -q demo-api-key <<<"$plans" || fail "a plan holds a secret value"
! k get drmwatch,events,configmaps -A -o yaml | has "Bearer demo-api-key" || fail "a secret value in an object"
! k -n $runners logs -l app.kubernetes.io/name=drmwatch-runner --tail=-1 | has demo-api-key || fail "a secret value in a log"
# Drift of what the operator made is undone.
k -n $runners scale deployment drmwatch-runner-default --replicas=5
undone() { [ "$(k -n $runners get deployment drmwatch-runner-default -o jsonpath='{.spec.replicas}')" = 2 ]; }
await 30 "drift is undone" undone
# What people and pipelines may do follows from the built-in roles; a runner may touch no tenant's object.
[ "$(k auth can-i patch drmprobes -n $tenant_ns --as=system:serviceaccount:$runners:drmwatch-runner-default || true)" = no ] || fail "a runner may write probes"
[ "$(k auth can-i get secrets -n $tenant_ns --as=system:serviceaccount:$runners:drmwatch-runner-default || true)" = no ] || fail "a runner may read tenants' Secrets"
# Nothing waits for a reconcile once all is done.
idle() { scraped "$(leader)" '^drmwatch_operator_queued' | awk '$2 != 0 {exit 1}'; }
await 30 "the operator's queue is empty" idle
tenant_leaves
