# The CRDs are accepted by a real API server, refuse every mistake in words that tell, and round-trip
# what is right.
source "$(dirname "$0")/../../lib.sh"
empty
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
# Of every field, each odd value and notation: --check refuses what the API server refuses, and nothing else.
if [ "${E2E_CONTEXT:-}" != current ] && [ -x "$root/target/debug/examples/mutants" ]; then
  mutants=$CLUSTER/mutants
  "$root/target/debug/examples/mutants" "$mutants" 1500
  k create --dry-run=server -f "$mutants" >"$CLUSTER/taken" 2>"$CLUSTER/said" || true
  # Errors of files that can't be read share a line.
  sed -i 's/, \(unable to decode\|error parsing\)/\n\1/g' "$CLUSTER/said"
  diff <(cut -f1 "$mutants/refused" | sort) <(grep -oE "mutants/[0-9]{5}\.yaml" "$CLUSTER/said" | cut -d/ -f2 | sort -u) ||
    fail "--check and the API server disagree (< only --check refuses, > only the API server)"
  [ "$(wc -l <"$CLUSTER/taken")" -ge 100 ] || fail "the API server took hardly any"
  echo "seen: --check and the API server agree on $(wc -l <"$mutants/refused") refused and $(wc -l <"$CLUSTER/taken") accepted"
else
  echo "SKIPPED: the mutants need a cluster of the suite's own and target/debug/examples/mutants (make e2e builds it)"
fi
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
k delete -f "$root/crds"
k delete namespace $runners
