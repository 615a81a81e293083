#!/usr/bin/env bash
# Follows the README as a newcomer does: on a minimal Debian of its own (a chroot), with an empty home and empty caches, as a
# user who has installed Rust, make and git. Says how long each step took and how long the demo was silent at most.
#   newcomer.sh [FOLDER]     needs root. FOLDER: where Debian is put, kept afterwards; without it a temporary one, removed
#
# The end-to-end case 00-getting-started follows docs/getting-started.md.
set -euo pipefail
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || { echo "needs root, to make a chroot" >&2; exit 1; }
bash scripts/need.sh debootstrap
silence_limit=60
root=${1:-$(mktemp -d /tmp/drmwatch-newcomer.XXXXXX)}
keep=${1:+yes}
leave() {
  for mount in proc dev; do umount -l "$root/$mount" 2>/dev/null || true; done
  [ -n "$keep" ] || rm -rf --one-file-system "$root"
}
trap leave EXIT
trap 'exit 130' INT TERM
step() { echo "== $1 (at $SECONDS s)"; }

step "a minimal Debian in $root"
mirror=$(grep -rhoE 'https?://[^ ]+/debian/?( |$)' /etc/apt/sources.list /etc/apt/sources.list.d 2>/dev/null | sed -n 1p | tr -d ' ' || true)
[ -e "$root/usr/bin/apt-get" ] ||
  debootstrap --variant=minbase --include=ca-certificates,git,make bookworm "$root" ${mirror:+"$mirror"} >"$root.log" 2>&1 ||
  { tail -5 "$root.log" >&2; exit 1; }
rm -f "$root.log"
# How packages are reached is a matter of this machine.
cp /etc/resolv.conf /etc/hosts "$root/etc/"
cp -r /etc/apt/apt.conf.d/. "$root/etc/apt/apt.conf.d/"
cp -r /etc/ssl/certs/. "$root/etc/ssl/certs/"
mount --bind /dev "$root/dev"
mount -t proc proc "$root/proc"

step "Rust and a clone"
mkdir -p "$root/opt/rust" "$root/home/newcomer"
cp -r "$(rustc --print sysroot)/." "$root/opt/rust/"
rm -rf "$root/home/newcomer/drmwatch"
git clone -q . "$root/home/newcomer/drmwatch"

inside() { chroot "$root" env -i HOME=/home/newcomer TERM=dumb LANG=C.UTF-8 PATH=/opt/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin bash -c "cd /home/newcomer/drmwatch && $1"; }
# The commands of the README, as they stand there.
demo=$(sed -n '/^```sh$/,/^```$/s/^\(make demo\) .*/\1/p' README.md | sed -n 1p)
[ -n "$demo" ] || { echo "the README has no 'make demo'" >&2; exit 1; }
step "$demo, with an empty home"
inside "DEMO_SECONDS=20 $demo 2>&1 && echo demo-ended-well" |
  while IFS= read -r line; do printf '%5d s  %s\n' "$SECONDS" "$line"; done | tee "$root/home/newcomer/demo.txt"
grep -q demo-ended-well "$root/home/newcomer/demo.txt" || { echo "FAIL: $demo" >&2; exit 1; }
quiet=$(awk '{if (NR > 1 && $1 - last > most) most = $1 - last; last = $1} END {print most + 0}' "$root/home/newcomer/demo.txt")
step "the longest silence was $quiet s"
[ "$quiet" -le $silence_limit ] || { echo "FAIL: nothing was printed for $quiet s" >&2; exit 1; }

step "the README's probe, by --check"
sed -n '/^```yaml$/,/^```$/{/^```/d;p}' README.md >"$root/home/newcomer/readme.yaml"
inside "target/debug/drmwatch-runner --check /home/newcomer/readme.yaml"
step "done"
