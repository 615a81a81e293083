# The CRDs are accepted by a real API server, refuse every mistake in words that tell, and round-trip
# what is right.
source "$(dirname "$0")/../../lib.sh"
for file in "$root"/crds/*.yaml; do
  k apply --server-side -f "$file"
  k wait --for=condition=Established -f "$file" --timeout=30s
done
count=0
for file in "$root"/crates/api/invalid/*.yaml; do
  expected=$(head -1 "$file" | sed 's/^# expect: //')
  if said=$(k apply -f "$file" 2>&1); then fail "accepted: $file"; fi
  [[ $said == *"$expected"* ]] || fail "$file: expected '$expected', got: $said"
  count=$((count + 1))
done
[ $count -ge 20 ] || fail "only $count mistakes tried"
k create namespace $runners --dry-run=client -o yaml | k apply -f - >/dev/null
k apply -f "$root/crates/api/valid/everything.yaml"
# What was written comes back as it was, defaults added: applying it again changes no spec.
k apply -f "$root/crates/api/valid/everything.yaml" >/dev/null
generations=$(k -n default get drmwatch -o jsonpath='{.items[*].metadata.generation}')
[ "$(tr ' ' '\n' <<<"$generations" | sort -u)" = 1 ] || fail "did not round-trip: generations $generations"
k diff -f "$root/crates/api/valid/everything.yaml" || fail "what is stored differs from what was applied"
k -n default scale runnerpool spare --replicas=3
[ "$(k -n default get runnerpool spare -o jsonpath='{.spec.replicas}')" = 3 ] || fail "the scale subresource does not work"
said=$(k -n default patch runnerpool spare --type=merge -p '{"spec":{"shards":5}}' 2>&1) && fail "shards could be changed"
grep -q "shards must not be changed" <<<"$said"
! k -n default patch drmprobe chain --type=merge -p '{"spec":{"tenantRef":{"name":"other"}}}' 2>/dev/null || fail "tenantRef could be changed"
k -n default get drmwatch,mt,dp,rp,mw,sla >/dev/null
k delete -f "$root/crates/api/valid/everything.yaml"
# The next case installs by Helm, which brings the CRDs itself.
k delete -f "$root/crds"
k delete namespace $runners
