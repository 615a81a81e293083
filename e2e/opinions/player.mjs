// A real browser plays protected content with a licence of the server under test: Chromium's own ClearKey module, Shaka
// Player.   node player.mjs WORLD TOKEN
// Prints {"seconds": N} once it has played, or {"error": CODE} of Shaka's.
import fs from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
import puppeteer from 'puppeteer-core';

const [world, token] = process.argv.slice(2);
const shaka = createRequire(import.meta.url).resolve('shaka-player/dist/shaka-player.compiled.js');
const page = `<!doctype html><video id="v" muted></video><script src="/shaka.js"></script>`;

// One origin for the page and the world, as behind a site's own proxy.
const server = http.createServer((request, response) => {
  if (request.url === '/') return response.end(page);
  if (request.url === '/shaka.js') return fs.createReadStream(shaka).pipe(response);
  const options = { method: request.method, headers: request.headers };
  const onward = http.request(world + request.url, options, (answer) => {
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  });
  onward.on('error', () => response.writeHead(502).end());
  request.pipe(onward);
});
await new Promise((done) => server.listen(0, '127.0.0.1', done));

const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--autoplay-policy=no-user-gesture-required', '--disable-gpu'],
});
try {
  const tab = await browser.newPage();
  await tab.goto(`http://127.0.0.1:${server.address().port}/`);
  const result = await tab.evaluate(async (token) => {
    shaka.polyfill.installAll();
    const video = document.getElementById('v');
    const player = new shaka.Player();
    await player.attach(video);
    player.configure({
      drm: { servers: { 'org.w3.clearkey': '/license/clearkey' }, retryParameters: { maxAttempts: 1 } },
    });
    player.getNetworkingEngine().registerRequestFilter((type, request) => {
      if (type !== shaka.net.NetworkingEngine.RequestType.LICENSE) return;
      request.headers['authorization'] = `Bearer ${token}`;
      request.headers['content-type'] = 'application/json';
    });
    const failed = new Promise((_, no) => player.addEventListener('error', (event) => no(event.detail)));
    const played = (async () => {
      await player.load('/live/cenc/manifest.mpd');
      await video.play();
      const from = video.currentTime;
      while (video.currentTime < from + 1 || !video.getVideoPlaybackQuality().totalVideoFrames) {
        await new Promise((done) => setTimeout(done, 100));
      }
      return { seconds: video.currentTime - from, keys: Object.values(player.getKeyStatuses()) };
    })();
    const late = new Promise((done) => setTimeout(() => done({ error: 'nothing played in 40 s' }), 40000));
    return await Promise.race([played, failed, late]).catch((error) => ({ error: error.code ?? String(error) }));
  }, token);
  console.log(JSON.stringify(result));
} finally {
  await browser.close();
  server.close();
}
