#!/usr/bin/env bash
# Stops the cluster that up.sh started in DIR, by the pids that it recorded, and removes DIR.
set -uo pipefail
dir=${1:?usage: down.sh DIR}
[ -d "$dir" ] || exit 0
ns=$(cat "$dir/netns" 2>/dev/null)
stop() { # name: terminate, wait, insist
  local pid
  pid=$(cat "$dir/pid/$1" 2>/dev/null) || return 0
  kill "$pid" 2>/dev/null
  for _ in $(seq 50); do kill -0 "$pid" 2>/dev/null || return 0; sleep 0.1; done
  kill -9 "$pid" 2>/dev/null
}
stop kubelet
pods=() # network namespaces of pods that are still there, by what containerd knows of its sandboxes
if [ -S "$dir/containerd.sock" ]; then
  for container in $(ctr -a "$dir/containerd.sock" -n k8s.io containers list -q 2>/dev/null); do
    for path in $(ctr -a "$dir/containerd.sock" -n k8s.io containers info "$container" 2>/dev/null | grep -o '/netns/cni-[0-9a-f-]*' | sort -u); do
      pods+=("${path##*/}")
    done
  done
  for task in $(ctr -a "$dir/containerd.sock" -n k8s.io tasks list -q 2>/dev/null); do
    ctr -a "$dir/containerd.sock" -n k8s.io tasks kill -s SIGKILL "$task" 2>/dev/null
    ctr -a "$dir/containerd.sock" -n k8s.io tasks delete "$task" >/dev/null 2>&1
  done
fi
for name in kube-proxy coredns scheduler controller-manager apiserver etcd containerd; do stop $name; done
for pid in "$dir"/pid/*; do [ -e "$pid" ] && stop "$(basename "$pid")"; done
# Shims outlive containerd by design; they are told by this cluster's socket path.
for pid in $(pgrep -f "containerd-shim.*$dir/containerd.sock"); do kill -9 "$pid" 2>/dev/null; done
grep -o "$dir[^ ]*" /proc/mounts | sort -r | while read -r mount; do umount -l "$mount" 2>/dev/null; done
[ -n "$ns" ] && ip netns delete "$ns" 2>/dev/null
for pod in "${pods[@]}"; do ip netns delete "$pod" 2>/dev/null; done
# The cgroups of pods, the innermost first.
cgroup=$(cat "$dir/cgroup" 2>/dev/null)
[ -z "$cgroup" ] || find /sys/fs/cgroup -depth -type d -path "*/$cgroup*" -exec rmdir {} + 2>/dev/null
rm -rf "$dir"
