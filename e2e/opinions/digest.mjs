// What parsers that are not ours make of files: a digest in JSON of the file in the argument.
//   m3u8-parser and mpd-parser (video.js), mp4box (GPAC)
import fs from 'node:fs';
import { Parser } from 'm3u8-parser';
import { parse } from 'mpd-parser';
import * as mp4box from 'mp4box';

const sum = (list, of) => list.reduce((n, x) => n + (of(x) || 0), 0);

function m3u8(text) {
  const parser = new Parser();
  parser.push(text);
  parser.end();
  const m = parser.manifest;
  if (m.playlists) return { kind: 'multivariant', variants: m.playlists.length };
  const s = m.segments;
  return {
    kind: 'media',
    segments: s.length,
    seconds: sum(s, (x) => x.duration),
    target: m.targetDuration ?? null,
    sequence: m.mediaSequence ?? 0,
    discontinuities: m.discontinuitySequence ?? 0,
    first: s[0]?.uri ?? null,
    last: s.at(-1)?.uri ?? null,
    ended: !!m.endList,
    parts: sum(s, (x) => x.parts?.length),
  };
}

function mpd(text) {
  const m = parse(text, { manifestUri: 'https://example.com/a/manifest.mpd' });
  const groups = Object.values(m.mediaGroups.AUDIO.audio ?? {});
  const audio = groups.flatMap((g) => g.playlists);
  const all = [...m.playlists, ...audio];
  return {
    updates: m.minimumUpdatePeriod !== undefined,
    seconds: m.duration,
    video: m.playlists.length,
    audio: audio.length,
    segments: m.playlists.map((p) => p.segments.length),
    first: m.playlists.map((p) => p.segments[0]?.resolvedUri ?? null),
    bandwidths: [...new Set(m.playlists.map((p) => p.attributes.BANDWIDTH))].sort((a, b) => a - b),
    protections: all.filter((p) => p.contentProtection).length,
  };
}

function mp4(path) {
  const file = mp4box.createFile();
  let info = null;
  file.onReady = (i) => { info = i; };
  const bytes = fs.readFileSync(path);
  const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  buffer.fileStart = 0;
  file.appendBuffer(buffer);
  file.flush();
  if (!info) return { error: 'no moov' };
  return { tracks: info.tracks.map((t) => ({ id: t.id, codec: t.codec, timescale: t.timescale })) };
}

console.log = console.warn = console.info = console.error = () => {};
const path = process.argv[2];
let found;
try {
  if (path.endsWith('.m3u8')) found = m3u8(fs.readFileSync(path, 'utf8'));
  else if (path.endsWith('.mpd')) found = mpd(fs.readFileSync(path, 'utf8'));
  else found = mp4(path);
} catch (error) {
  found = { error: String(error.message ?? error) };
}
process.stdout.write(JSON.stringify(found) + '\n');
