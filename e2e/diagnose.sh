#!/usr/bin/env bash
# What one looks at first when a case has failed.
source "$(dirname "$0")/lib.sh"
set +e
echo "--- objects"; k get drmwatch -A -o wide
echo "--- pods"; k get pods -A -o wide
echo "--- events"; k get events -A --sort-by=.lastTimestamp | tail -15
echo "--- operator"; k -n $system logs -l app.kubernetes.io/name=drmwatch-operator --tail=15 --prefix
echo "--- runners"; k -n $runners logs -l app.kubernetes.io/name=drmwatch-runner --tail=10 --prefix
