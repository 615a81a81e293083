#!/usr/bin/env bash
# Starts a real one-node Kubernetes inside a network namespace of its own: etcd, kube-apiserver,
# kube-controller-manager, kube-scheduler, and unless CONTROL_PLANE_ONLY=1 also containerd, kubelet,
# kube-proxy and CoreDNS. Nothing of it can reach the world: the namespace has no uplink.
#
#   up.sh DIR    everything of this cluster lives in DIR: certificates, logs, pids, kubeconfig
#
# What had to be found out is written where it is used. Needs root.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
dir=${1:?usage: up.sh DIR}
bin=${BIN:?BIN must be the folder with kube, coredns, helm}
mkdir -p "$dir"/{pki,log,pid,manifests}
dir=$(cd "$dir" && pwd)
ns=${CLUSTER_NETNS:-drmwatch-$$}
node_ip=10.93.0.2
service_ip=10.96.0.1
dns_ip=10.96.0.10
echo "$ns" >"$dir/netns"

# --- network: a bridge stands in for the node's interface, since there may be no dummy device -------
ip netns add "$ns"
run() { nsenter --net="/var/run/netns/$ns" "$@"; } # `ip netns exec` would remount /sys and hide the cgroups
run ip link set lo up
run ip link add node0 type bridge
run ip addr add $node_ip/24 dev node0
run ip link set node0 up
run ip route add default via 10.93.0.1 dev node0
run sysctl -qw net.ipv4.ip_forward=1

start() { # name, command...: in the namespace, pid recorded
  local name=$1; shift
  setsid nsenter --net="/var/run/netns/$ns" "$@" >"$dir/log/$name.log" 2>&1 </dev/null &
  echo $! >"$dir/pid/$name"
}
await() { # what, seconds, command...
  local what=$1 limit=$2 deadline; shift 2
  deadline=$((SECONDS + limit))
  until "$@" >/dev/null 2>&1; do
    if [ $SECONDS -ge $deadline ]; then
      echo "up.sh: $what not ready after $limit s; last lines of its logs:" >&2
      tail -n 5 "$dir"/log/*.log >&2
      return 1
    fi
    sleep 0.2
  done
}

# --- certificates ------------------------------------------------------------------------------------
cd "$dir/pki"
issue() { # name, subject, subjectAltName
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" -subj "$2" 2>/dev/null |
    openssl x509 -req -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -out "$1.crt" \
      -extfile <(printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth,clientAuth\n' "${3:-DNS:$1}") 2>/dev/null
}
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.crt -days 30 -subj /CN=drmwatch-e2e 2>/dev/null
openssl genrsa -out sa.key 2048 2>/dev/null
openssl rsa -in sa.key -pubout -out sa.pub 2>/dev/null
issue apiserver /CN=kube-apiserver "IP:$node_ip,IP:$service_ip,IP:127.0.0.1,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc"
issue kubelet-client /O=system:masters/CN=apiserver-kubelet
issue front-proxy /CN=front-proxy
issue admin /O=system:masters/CN=admin
issue controller-manager /CN=system:kube-controller-manager
issue scheduler /CN=system:kube-scheduler
issue proxy /CN=system:kube-proxy
issue kubelet /O=system:nodes/CN=system:node:node0 "DNS:node0,IP:$node_ip"
kubeconfig() { # user
  cat >"$dir/$1.kubeconfig" <<YAML
apiVersion: v1
kind: Config
clusters: [{name: e2e, cluster: {server: "https://$node_ip:6443", certificate-authority: $dir/pki/ca.crt}}]
users: [{name: $1, user: {client-certificate: $dir/pki/$1.crt, client-key: $dir/pki/$1.key}}]
contexts: [{name: e2e, context: {cluster: e2e, user: $1}}]
current-context: e2e
YAML
}
for user in admin controller-manager scheduler proxy kubelet; do kubeconfig $user; done
export KUBECONFIG=$dir/admin.kubeconfig
kubectl() { run "$bin/kube" kubectl "$@"; }

# --- control plane -----------------------------------------------------------------------------------
start etcd etcd --data-dir "$dir/etcd" --unsafe-no-fsync \
  --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
  --listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 --initial-cluster default=http://127.0.0.1:2380
start apiserver "$bin/kube" kube-apiserver --etcd-servers=http://127.0.0.1:2379 --bind-address=$node_ip --advertise-address=$node_ip \
  --service-cluster-ip-range=10.96.0.0/16 --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction \
  --client-ca-file=ca.crt --tls-cert-file=apiserver.crt --tls-private-key-file=apiserver.key \
  --service-account-issuer=https://kubernetes.default.svc --service-account-key-file=sa.pub --service-account-signing-key-file=sa.key \
  --kubelet-client-certificate=kubelet-client.crt --kubelet-client-key=kubelet-client.key --kubelet-preferred-address-types=InternalIP \
  --requestheader-client-ca-file=ca.crt --requestheader-allowed-names=front-proxy --requestheader-extra-headers-prefix=X-Remote-Extra- \
  --requestheader-group-headers=X-Remote-Group --requestheader-username-headers=X-Remote-User \
  --proxy-client-cert-file=front-proxy.crt --proxy-client-key-file=front-proxy.key
await kube-apiserver 60 kubectl get --raw /readyz
start controller-manager "$bin/kube" kube-controller-manager --kubeconfig="$dir/controller-manager.kubeconfig" \
  --use-service-account-credentials --service-account-private-key-file=sa.key --root-ca-file=ca.crt \
  --cluster-cidr=10.94.0.0/16 --allocate-node-cidrs=false --leader-elect=false --concurrent-gc-syncs=5 \
  --horizontal-pod-autoscaler-sync-period=5s
start scheduler "$bin/kube" kube-scheduler --kubeconfig="$dir/scheduler.kubeconfig" --leader-elect=false
await "the default service account" 60 kubectl -n default get serviceaccount default
if [ "${CONTROL_PLANE_ONLY:-}" = 1 ]; then
  echo "control plane ready: $dir/admin.kubeconfig, network namespace $ns"
  exit 0
fi

# --- node --------------------------------------------------------------------------------------------
# A kubelet removes the cgroups of pods that it does not know. Each cluster has a root of its own, so that two of them can
# run on one machine.
cgroup=$ns
echo "$cgroup" >"$dir/cgroup"
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  mkdir -p "/sys/fs/cgroup/$cgroup"
else
  for hierarchy in /sys/fs/cgroup/*/; do
    mkdir "$hierarchy$cgroup" 2>/dev/null || continue
    # A new cpuset is empty, and nothing can run in it.
    for file in cpuset.cpus cpuset.mems; do
      [ ! -e "$hierarchy$cgroup/$file" ] || cat "$hierarchy$file" >"$hierarchy$cgroup/$file"
    done
  done
fi
mkdir -p "$dir"/{containerd,containerd-run,kubelet,cni}
cat >"$dir/containerd.toml" <<TOML
version = 2
root = "$dir/containerd"
state = "$dir/containerd-run"
[grpc]
address = "$dir/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "localhost/drmwatch-pause:e2e"
restrict_oom_score_adj = true # without CAP_SYS_RESOURCE runc fails with "can't get final child's PID from pipe: EOF"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "$dir/cni"
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "native" # works on any file system that the machine may have
TOML
# Point to point, not a bridge: on a bridge the answers of a Service's pod to its neighbour would go by
# without passing kube-proxy's NAT, unless the kernel has br_netfilter.
cat >"$dir/cni/10-ptp.conflist" <<JSON
{"cniVersion": "0.4.0", "name": "e2e", "plugins": [
  {"type": "ptp", "ipMasq": false,
   "ipam": {"type": "host-local", "dataDir": "$dir/cni-ipam", "ranges": [[{"subnet": "10.94.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
JSON
cat >"$dir/kubelet.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupDriver: cgroupfs
cgroupRoot: /$cgroup
failSwapOn: false
failCgroupV1: false
enforceNodeAllocatable: []
containerRuntimeEndpoint: unix://$dir/containerd.sock
clusterDNS: [$dns_ip]
clusterDomain: cluster.local
resolvConf: $dir/resolv.conf
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $dir/pki/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $dir/pki/kubelet.crt
tlsPrivateKeyFile: $dir/pki/kubelet.key
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 100Mi, nodefs.available: "1%", imagefs.available: "1%"}
syncFrequency: 10s
fileCheckFrequency: 1s
YAML
echo "nameserver 127.0.0.1" >"$dir/resolv.conf"
cat >"$dir/kube-proxy.yaml" <<YAML
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
clientConnection: {kubeconfig: $dir/proxy.kubeconfig}
conntrack: {maxPerCore: 0}
clusterCIDR: 10.94.0.0/16
hostnameOverride: node0
YAML
start containerd containerd --config "$dir/containerd.toml"
await containerd 30 ctr -a "$dir/containerd.sock" version
for image in "$bin"/drmwatch-pause.tar ${IMAGES:-}; do
  ctr -a "$dir/containerd.sock" -n k8s.io images import "$image" >>"$dir/log/images.log" 2>&1
done
start kubelet "$bin/kube" kubelet --config="$dir/kubelet.yaml" --kubeconfig="$dir/kubelet.kubeconfig" \
  --hostname-override=node0 --node-ip=$node_ip --root-dir="$dir/kubelet"
start kube-proxy "$bin/kube" kube-proxy --config="$dir/kube-proxy.yaml"
# CoreDNS runs beside the cluster, on the node, where its one static program needs no image.
cat >"$dir/Corefile" <<COREFILE
.:53 {
  bind $node_ip
  health $node_ip:8080
  kubernetes cluster.local {
    kubeconfig $dir/admin.kubeconfig
  }
}
COREFILE
start coredns "$bin/coredns" -conf "$dir/Corefile"
run "$bin/kube" kubectl apply -f - >/dev/null <<YAML
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system}
spec:
  clusterIP: $dns_ip
  ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53, protocol: TCP}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: kube-dns-node, namespace: kube-system, labels: {kubernetes.io/service-name: kube-dns}}
addressType: IPv4
endpoints: [{addresses: [$node_ip], conditions: {ready: true}}]
ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53, protocol: TCP}]
YAML
await "the node" 90 sh -c "nsenter --net=/var/run/netns/$ns '$bin/kube' kubectl get node node0 | grep -q ' Ready'"
echo "cluster ready: $dir/admin.kubeconfig, network namespace $ns"
