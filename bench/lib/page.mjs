// What does a person at the watch page see, and when? One browser, one question, one line of JSON.
//
//   node page.mjs latency <browser> <url> <settle seconds> <seconds>
//   node page.mjs startup <browser> <url> <times>
//
// The page is asked through the debugger, not by page.evaluate: that passes for a gesture of the viewer's, and autoplay
// would then be easier than it is in life.
import { chromium } from "../../tests/browser/node_modules/playwright-core/index.mjs";

// The clock strip, as crates/ingest/src/publish/clock.rs draws it into a picture 1280 wide.
const STRIP = { width: 1280, x: 256, y: 48, bits: 48, block: [16, 32] };
const SANE_MS = 30_000;
const PATIENCE_MS = 60_000;

const [question, executablePath, url, ...numbers] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
try {
  const answer = await { latency, startup }[question](...numbers.map(Number));
  process.stdout.write(`${JSON.stringify({ browser: browser.version(), ...answer })}\n`);
} finally {
  await browser.close();
}

/** Settles, then reads the clock off every presented frame. */
async function latency(settle, seconds) {
  const { ask } = await open();
  await until(ask, `window.trellis?.state().state === "playing"`);
  await sleep(settle * 1000);
  const before = await ask("window.trellis.state()");
  await ask(`(${readFrames})(${JSON.stringify(STRIP)}, ${SANE_MS})`);
  await sleep(seconds * 1000);
  const read = await ask("window.stopReading()");
  const after = await ask("window.trellis.state()");
  return { ...read, stalls: after.stalls - before.stalls, dropped: after.dropped_frames - before.dropped_frames,
           page_latency_s: after.latency_s, rung: after.rung, state: after.state };
}

/** In the page: when each frame was presented, and the time it shows (ms). The time is taken before the pixels are, so that reading them back is not called latency. */
function readFrames(strip, sane) {
  const video = document.querySelector("video");
  const [block, height] = strip.block;
  const canvas = new OffscreenCanvas(strip.bits * block, 4);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const found = { frames: [], nonsense: 0, callbacks: 0, presented: 0, began: Date.now() };
  let first, handle;
  const decode = () => {
    const scale = video.videoWidth / strip.width;
    const middle = strip.y + height / 2 - 2;
    context.drawImage(video, strip.x * scale, middle * scale, canvas.width * scale, 4 * scale, 0, 0, canvas.width, 4);
    const row = context.getImageData(0, 2, canvas.width, 1).data;
    let value = 0;
    for (let bit = 0; bit < strip.bits; bit++) value = value * 2 + (row[(bit * block + block / 2) * 4] > 127 ? 1 : 0);
    return value;
  };
  const look = (_, { presentedFrames }) => {
    handle = video.requestVideoFrameCallback(look);
    const now = Date.now();
    const shown = decode();
    const late = now - shown;
    first ??= presentedFrames - 1;
    found.presented = presentedFrames - first;
    found.callbacks++;
    if (late >= 0 && late <= sane) found.frames.push([now, shown]);
    else found.nonsense++;
  };
  handle = video.requestVideoFrameCallback(look);
  window.stopReading = () => (video.cancelVideoFrameCallback(handle), { ...found, ended: Date.now() });
}

/** Fresh contexts one after another: nothing is cached, no connection kept. */
async function startup(times) {
  const starts = [];
  for (let n = 0; n < times; n++) {
    const { context, ask } = await open(`(${watchForFrame})()`);
    await until(ask, "window.firstFrame && window.trellis?.state().startup_ms != null");
    const { startup_ms, state } = await ask("window.trellis.state()");
    starts.push({ page_ms: startup_ms, frame_ms: await ask("window.firstFrame"), state });
    await context.close();
  }
  return { starts };
}

/** In the page, before its own scripts: milliseconds from navigation start to the first presented frame. */
function watchForFrame() {
  document.addEventListener("readystatechange", () => {
    document.querySelector("video")?.requestVideoFrameCallback(() => (window.firstFrame ??= performance.now()));
  });
}

async function open(script) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  const page = await context.newPage();
  if (script) await page.addInitScript(script);
  const debug = await context.newCDPSession(page);
  await page.goto(url, { waitUntil: "commit" });
  const ask = async (expression) => {
    const { result, exceptionDetails } = await debug.send("Runtime.evaluate", { expression, returnByValue: true });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  };
  return { context, ask };
}

async function until(ask, expression) {
  for (const end = Date.now() + PATIENCE_MS; !(await ask(expression)); await sleep(50)) {
    if (Date.now() > end) throw new Error(`not within ${PATIENCE_MS} ms: ${JSON.stringify(await ask("window.trellis?.state()"))}`);
  }
}

function sleep(ms) {
  return new Promise((next) => setTimeout(next, ms));
}
