// What do many pages of one browser see? One plan in, one line of JSON out: each page's own figures, second by second.
//
//   node swarm.mjs <browser> <plan>    {"urls": […], "every_ms": …, "seconds": …, "crash": {"at_s": …, "pages": […]} | null,
//                                       "looks": [s, …] | null, "collect": true | null, "profile": {"at_s": …, "seconds": …} | null, "maps": folder | null}
//
// At `looks` every page is asked what it cost, after a garbage collection if `collect`; `profile` says whose code it was.
// A context for each page, so that none shares its cache or its connections with another. A crashed page's renderer is killed.
import { SourceMap } from "node:module";
import { launch } from "./bare.mjs";
import { look, profile, readMaps, rendererOf } from "./cost.mjs";

const [executablePath, plan] = [process.argv[2], JSON.parse(process.argv[3])];
const FLAGS = ["--no-sandbox", "--disable-gpu", "--mute-audio", "--disable-quic", "--autoplay-policy=no-user-gesture-required",
               "--disable-background-timer-throttling", "--disable-renderer-backgrounding", "--disable-backgrounding-occluded-windows"];
const browser = await launch(executablePath, FLAGS);
const { system } = browser;
const began = Date.now();
const pages = [];
let done = false;
try {
  const sampling = sample();
  for (const [number, url] of plan.urls.entries()) {
    await until(number * plan.every_ms);
    pages.push(await open(url));
  }
  const costs = cost();
  if (plan.crash) await until(plan.crash.at_s * 1000).then(() => Promise.all(plan.crash.pages.map((number) => crash(pages[number]))));
  await until(plan.seconds * 1000);
  done = true;
  await Promise.all([sampling, costs]);
  const answers = pages.map(({ opened, crashed, samples, complaints, looks, profile }) => ({ opened, crashed, samples, complaints, looks, profile }));
  process.stdout.write(`${JSON.stringify({ browser: await browser.version(), pages: answers })}\n`);
} finally {
  await browser.close();
}

async function open(url) {
  const it = { renderer: 0, opened: Date.now() - began, crashed: null, samples: [], complaints: [], looks: [], profile: null, debug: null };
  const complain = (text) => it.complaints.length < 5 && it.complaints.push(text);
  it.renderer = await rendererOf(system, async () => (it.debug = await browser.open(url, complain)));
  return it;
}

async function crash(it) {
  it.crashed = Date.now() - began;
  // The answer never comes: the renderer is gone.
  it.debug.send("Page.crash").catch(() => {});
}

async function cost() {
  for (const at of plan.looks ?? []) {
    await until(at * 1000);
    for (const it of pages) it.looks.push({ at: (Date.now() - began) / 1000, ...(await look(system, it, plan.collect)) });
    process.stderr.write(`${JSON.stringify(pages.map(({ looks }) => looks.at(-1)))}\n`);
  }
  if (!plan.profile) return;
  const maps = plan.maps ? await readMaps(plan.maps, SourceMap) : new Map();
  await until(plan.profile.at_s * 1000);
  await Promise.all(pages.map(async (it) => (it.profile = await profile(it, plan.profile.seconds, maps))));
}

/** Every second all pages are asked; a page that answers late is asked again a second later. */
async function sample() {
  while (!done) {
    const next = Date.now() + 1000;
    await Promise.all(pages.filter((it) => it.crashed === null).map(ask));
    await new Promise((go) => setTimeout(go, Math.max(0, next - Date.now())));
  }
}

async function ask(it) {
  const expression = "JSON.stringify(window.trellis?.stats?.() ?? null)";
  const answer = it.debug.send("Runtime.evaluate", { expression, returnByValue: true }).catch(() => null);
  const late = new Promise((go) => setTimeout(go, 3000, null));
  const stats = JSON.parse((await Promise.race([answer, late]))?.result?.value ?? "null");
  if (stats) it.samples.push({ at: (Date.now() - began) / 1000, ...stats });
}

function until(ms) {
  return new Promise((go) => setTimeout(go, Math.max(0, began + ms - Date.now())));
}
