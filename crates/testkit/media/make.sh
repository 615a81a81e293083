#!/usr/bin/env bash
# Makes the media that the test world serves: twelve seconds of H.264 and AAC in two-second segments, as
# real packagers write them.
#
#   clear cenc   CMAF of shaka-packager, two rungs and audio; cenc has one canary key
#   cbcs         the same, one rung, cbcs with Widevine and PlayReady data beside the common box
#   parts        fragments of half a second, of ffmpeg, for low latency
#   uneven       fragmented MP4 of ffmpeg with segments of one to three seconds
#   ts           MPEG-2 TS of ffmpeg, video and audio in one
#   smooth       fragments of ffmpeg's Smooth muxer, with tfxd and tfrf
#   hds          F4F fragments of ffmpeg
#
# The result is committed, so that tests and the demo need neither ffmpeg nor the packager; run this
# only to change it. Needs ffmpeg (Debian) and shaka-packager (npm: `npm pack shaka-packager`), whose
# binary is given as PACKAGER. With names of kinds as arguments only those are made. The key is a canary:
# public on purpose, used for nothing else.
set -euo pipefail
cd "$(dirname "$0")"
: "${PACKAGER:?set PACKAGER to the shaka-packager binary}"
key=1a8d1a2f6fd9412c9d4a6c3f0a5b7e91
kid=a7e61c373e219033c21091fa607bf3b8
seconds=12
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ff() { ffmpeg -nostdin -y -loglevel error "$@"; }
video() { # name, size, bit rate, where the keyframes are
  ff -f lavfi -i "testsrc2=size=$2:rate=25" -t $seconds -c:v libx264 -preset veryslow -profile:v main \
    -g 75 -keyint_min 1 -sc_threshold 0 -force_key_frames "$4" -b:v "$3" -bf 0 -pix_fmt yuv420p "$work/$1.mp4"
}
even='expr:gte(t,n_forced*2)'
video low 192x108 40k "$even"
video high 320x180 80k "$even"
video uneven 192x108 40k 0,2,3,6,8,9
ff -f lavfi -i "sine=frequency=440:sample_rate=48000" -t $seconds -c:a aac -b:a 24k "$work/audio.mp4"

shaka() { # kind, tracks, options...
  local kind=$1 descriptors=() track stream
  for track in $2; do
    stream=video; [ $track != audio ] || stream=audio
    mkdir -p $kind/$track
    descriptors+=("in=$work/$track.mp4,stream=$stream,init_segment=$kind/$track/init.mp4,segment_template=$kind/$track/\$Number\$.m4s")
  done
  "$PACKAGER" --quiet "${descriptors[@]}" --segment_duration 2 "${@:3}"
}
protect() { echo --enable_raw_key_encryption --keys "label=:key_id=$kid:key=$key" --clear_lead 0 --protection_scheme "$1" --protection_systems "$2"; }
clear() { shaka clear "low high audio" --fragment_duration 2; }
cenc() { shaka cenc "low high audio" --fragment_duration 2 $(protect cenc CommonSystem); }
cbcs() { shaka cbcs "low audio" --fragment_duration 2 $(protect cbcs CommonSystem,Widevine,PlayReady); }
# shaka-packager begins fragments of video with keyframes only.
parts() {
  local track n file
  for track in low audio; do
    mkdir -p parts/$track "$work/parts-$track"
    ff -i "$work/$track.mp4" -c copy -f dash -seg_duration 2 -frag_type duration -frag_duration 0.5 \
      -init_seg_name init.mp4 -media_seg_name '$Number$.m4s' "$work/parts-$track/x.mpd"
    cp "$work/parts-$track/init.mp4" parts/$track/
    for n in 1 2 3 4 5 6; do cp "$work/parts-$track/$n.m4s" parts/$track/; done
  done
}
uneven() {
  mkdir -p uneven/low
  (cd uneven/low && ff -i "$work/uneven.mp4" -c copy -f hls -hls_time 1 -hls_list_size 0 -hls_segment_type fmp4 \
    -hls_fmp4_init_filename init.mp4 -start_number 1 -hls_segment_filename %d.m4s "$work/uneven.m3u8")
  cp "$work/init.mp4" uneven/low/
}
ts() {
  mkdir -p ts
  ff -i "$work/low.mp4" -i "$work/audio.mp4" -map 0:v -map 1:a -c copy -f hls -hls_time 2 -hls_list_size 0 \
    -start_number 1 -hls_segment_filename ts/%d.ts "$work/ts.m3u8"
}
smooth() {
  ff -i "$work/low.mp4" -c copy -f smoothstreaming -lookahead_count 2 -min_frag_duration 1900000 "$work/smooth-video"
  ff -i "$work/audio.mp4" -c copy -f smoothstreaming -lookahead_count 2 -min_frag_duration 1900000 "$work/smooth-audio"
  for track in video audio; do
    mkdir -p smooth/$track
    n=0
    for file in $(ls "$work/smooth-$track"/*/Fragments* | sed 's/.*=\([0-9]*\)).*/\1 &/' | sort -n | cut -d' ' -f2); do
      n=$((n + 1))
      [ $n -gt 6 ] || cp "$file" smooth/$track/$n.ismv
    done
  done
}
hds() {
  mkdir -p hds
  ff -i "$work/low.mp4" -i "$work/audio.mp4" -map 0:v -map 1:a -c copy -f hds -min_frag_duration 1900000 "$work/hds"
  for n in 1 2 3 4 5 6; do cp "$work/hds/stream0Seg1-Frag$n" hds/$n.f4f; done
}
for kind in "${@:-clear cenc cbcs parts uneven ts smooth hds}"; do for one in $kind; do $one; done; done
