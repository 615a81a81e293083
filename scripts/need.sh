#!/usr/bin/env bash
# Sees to it that what a target needs is installed: by apt when root or sudo can, else by saying what is
# missing and how to get it.   need.sh {cc|cxx|openssl|debootstrap|clock|curl|age|pdf|postgres|musl|npm|python|chromium|bench|perf|prometheus|buildah|packagers|cluster}...
set -euo pipefail
# Targets run side by side, and apt has one lock.
lock=${XDG_CACHE_HOME:-$HOME/.cache}/drmwatch/need.lock
mkdir -p "${lock%/*}"
exec 9>"$lock"
flock 9
packages=()
lacks() { # command, package
  command -v "$1" >/dev/null || [ -x "/usr/sbin/$1" ] || [ -x "/sbin/$1" ] || packages+=("$2")
}
for need in "$@"; do
  case $need in
  cc) lacks cc gcc; [ -e /usr/include/stdlib.h ] || packages+=(libc6-dev) ;;
  openssl) lacks openssl openssl ;;
  debootstrap) lacks debootstrap debootstrap ;;
  cxx) lacks c++ g++ ;;
  curl) lacks curl curl ;;
  npm) lacks node nodejs; lacks npm npm ;;
  bench) lacks nginx nginx-light; lacks prometheus-blackbox-exporter prometheus-blackbox-exporter ;;
  age) lacks age age ;;
  pdf) lacks pdftotext poppler-utils; lacks qpdf qpdf ;;
  postgres) compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || packages+=(postgresql) ;;
  perf) lacks perf linux-perf ;;
  chromium) lacks chromium chromium ;;
  python) lacks python3 python3; python3 -c 'import ensurepip' 2>/dev/null || packages+=(python3-venv) ;;
  packagers)
    lacks ffmpeg ffmpeg; lacks nginx nginx-light
    [ -e /usr/lib/nginx/modules/ngx_rtmp_module.so ] || packages+=(libnginx-mod-rtmp)
    ;;
  clock) compgen -G '/usr/lib/*/faketime/libfaketime.so.1' >/dev/null || packages+=(libfaketime) ;;
  musl) lacks musl-gcc musl-tools ;;
  prometheus) lacks promtool prometheus; lacks prometheus-alertmanager prometheus-alertmanager; lacks amtool prometheus-alertmanager ;;
  buildah) docker info >/dev/null 2>&1 || command -v podman >/dev/null || lacks buildah buildah ;;
  cluster)
    lacks etcd etcd-server; lacks containerd containerd; lacks runc runc; lacks iptables iptables
    lacks conntrack conntrack; lacks buildah buildah; lacks jq jq; lacks ip iproute2; lacks openssl openssl
    lacks curl curl; lacks nft nftables; lacks nsenter util-linux; lacks sysctl procps; lacks promtool prometheus
    lacks prometheus-alertmanager prometheus-alertmanager; lacks docker-registry docker-registry; lacks htpasswd apache2-utils
    lacks python3 python3
    [ -x /usr/lib/cni/ptp ] || packages+=(containernetworking-plugins)
    ;;
  *) echo "need.sh: unknown need $need" >&2; exit 2 ;;
  esac
done
[ ${#packages[@]} -gt 0 ] || exit 0
mapfile -t packages < <(printf '%s\n' "${packages[@]}" | sort -u)
if [ "$(id -u)" = 0 ]; then sudo=(); elif sudo -n true 2>/dev/null; then sudo=(sudo); else
  echo "missing: ${packages[*]}; as root: apt-get install ${packages[*]}" >&2
  exit 1
fi
command -v apt-get >/dev/null || { echo "missing: ${packages[*]} (Debian names), and there is no apt-get" >&2; exit 1; }
echo "installing ${packages[*]}"
"${sudo[@]}" apt-get update -qq
# Debian starts what it installs; a test machine wants none of it running.
"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
