#!/usr/bin/env bash
# Makes the media that the test world serves: two H.264 rungs and one AAC track, twelve seconds in
# two-second CMAF segments, once in the clear and once encrypted (cenc, one canary key).
#
# The result is committed, so that tests and the demo need neither ffmpeg nor the packager; run this
# only to change it. Needs ffmpeg (Debian) and shaka-packager (npm: `npm pack shaka-packager`), whose
# binary is given as PACKAGER. The key is a canary: public on purpose, used for nothing else.
set -euo pipefail
cd "$(dirname "$0")"
: "${PACKAGER:?set PACKAGER to the shaka-packager binary}"
key=1a8d1a2f6fd9412c9d4a6c3f0a5b7e91
kid=a7e61c373e219033c21091fa607bf3b8
seconds=12
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ff() { ffmpeg -nostdin -y -loglevel error "$@"; }
video() { # name, size, bit rate
  ff -f lavfi -i "testsrc2=size=$2:rate=25" -t $seconds -c:v libx264 -preset veryslow -profile:v main \
    -g 50 -keyint_min 50 -sc_threshold 0 -b:v "$3" -bf 0 -pix_fmt yuv420p "$work/$1.mp4"
}
video low 192x108 40k
video high 320x180 80k
ff -f lavfi -i "sine=frequency=440:sample_rate=48000" -t $seconds -c:a aac -b:a 24k "$work/audio.mp4"
for kind in clear cenc; do
  protect=()
  [ $kind = clear ] || protect=(--enable_raw_key_encryption --keys "label=:key_id=$kid:key=$key"
    --protection_scheme cenc --clear_lead 0 --protection_systems CommonSystem)
  descriptors=()
  for track in low high audio; do
    stream=video; [ $track != audio ] || stream=audio
    mkdir -p $kind/$track
    descriptors+=("in=$work/$track.mp4,stream=$stream,init_segment=$kind/$track/init.mp4,segment_template=$kind/$track/\$Number\$.m4s")
  done
  "$PACKAGER" "${descriptors[@]}" --segment_duration 2 --fragment_duration 2 "${protect[@]}"
done
