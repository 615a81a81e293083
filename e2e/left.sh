#!/usr/bin/env bash
# Fails, and names them, if a case has left objects behind. What `product` of lib.sh keeps for the next case may be there.
source "$(dirname "$0")/lib.sh"
trap - ERR
objects() {
  k get namespaces -o name | grep -vE '^namespace/(default|kube-.*|drmwatch-system|drmwatch-runners|world)$'
  [ "${E2E_CONTEXT:-}" != current ] || return 0
  k get persistentvolumes,apiservices,flowschemas,prioritylevelconfigurations,clusterroles,clusterrolebindings,customresourcedefinitions,validatingadmissionpolicies,validatingadmissionpolicybindings -o json |
    jq -r '.items[] | select((.kind == "APIService" and .spec.service == null) | not)
      | select(.metadata.labels["kubernetes.io/bootstrapping"] == null and .metadata.annotations["apf.kubernetes.io/autoupdate-spec"] == null)
      | "\(.kind)/\(.metadata.name)"' |
    grep -vE '/(system:|drmwatch|[a-z]+\.drmwatch\.io$|cluster-admin$|admin$|edit$|view$)'
  k -n kube-system get services,endpointslices -o name | grep -vE '/kube-dns'
  k get drmwatch -A -o name 2>/dev/null | grep -v '^runnerpool.drmwatch.io/default$'
  k -n $runners get cronjobs,jobs,persistentvolumeclaims -o name 2>/dev/null
  k -n $runners get secrets -l 'drmwatch.io/probe-uid' -o name 2>/dev/null
  k -n $runners get secrets -l 'drmwatch.io/report-uid' -o name 2>/dev/null
}
none() { [ -z "$(objects)" ]; }
await 60 "nothing is left" none || { echo "FAIL: left behind: $(objects | tr '\n' ' ')"; exit 1; }
