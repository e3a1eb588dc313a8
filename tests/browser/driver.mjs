// A browser on a leash: one JSON command per line comes in, one JSON answer per line goes out. What is right and what
// is wrong is decided by the test at the other end (tests/src/browser.rs); here is only what the page says.
//
//   {"do":"open","url":…}              opens a page
//   {"do":"eval","js":…}               the value of an expression in the page
//   {"do":"wait","js":…,"ms":…}        the expression's value as soon as it is truthy
//   {"do":"frame","js":…,"ms":…}       the same inside the page's frame
//   {"do":"click","selector":…}        presses something
//   {"do":"press","key":…}             a key
//   {"do":"hover","selector":…}        moves the mouse over something
//   {"do":"screenshot","path":…}       for people
//   {"do":"complaints"}                what the console, scripts and requests complained of so far
//   {"do":"another","init":…,"block":…}  one more page, a viewer of its own, which the commands are about from then on; its
//                                      number. `init` runs before the page's scripts, what `block` matches is not found
//   {"do":"turn","to":…}               the commands are about this page from now on; the first is 0
//   {"do":"close"}                     closes the page the commands are about, as its viewer would
//   {"do":"front"}                     brings the page the commands are about to the front of its window
//   {"do":"plain"}                     serves a page with unmodified hls.js on an origin of its own; its URL
// Started with `--tabs` as its first flag the browser has one window, with a tab for each page, and slows down what is hidden.
import { spawn } from "node:child_process";
import { createServer } from "node:http";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const [executablePath, ...flags] = process.argv.slice(2);
const tabbed = flags[0] === "--tabs";
const browser = await (tabbed ? launchTabbed(flags.slice(1)) : chromium.launch({ executablePath, args: flags, chromiumSandbox: process.getuid() !== 0 }));
const complaints = [];
const pages = [];
let [page, debug] = [null, null];
await addPage({});

/**
 * Not by Playwright, which makes every page believe that it is in front, and tells the browser to slow nothing down. It
 * leaves alone only what was there before it: a browser's own first context.
 */
async function launchTabbed(flags) {
  const folder = await mkdtemp(join(tmpdir(), "trellis-tabs-"));
  const own = ["--headless=new", "--disable-gpu", "--no-first-run", "--remote-debugging-port=0", `--user-data-dir=${folder}`];
  const sandbox = process.getuid() === 0 ? ["--no-sandbox"] : [];
  const child = spawn(executablePath, [...own, ...sandbox, ...flags, "about:blank"], { stdio: ["ignore", "ignore", "pipe"] });
  const gone = new Promise((done) => child.once("exit", done));
  let address;
  for await (const line of createInterface({ input: child.stderr })) {
    if ((address = /DevTools listening on (\S+)/.exec(line)?.[1])) break;
  }
  child.stderr.resume();
  const browser = await chromium.connectOverCDP(address, { noDefaults: true });
  browser.close = async () => {
    child.kill();
    await gone;
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  };
  return browser;
}

/** Every viewer has a cache and connections of their own. */
async function addPage({ init, block }) {
  const context = tabbed ? browser.contexts()[0] : await browser.newContext({ viewport: { width: 1280, height: 800 } });
  const added = await context.newPage();
  added.setDefaultTimeout(30_000);
  if (init) await added.addInitScript(init);
  if (block) await added.route(block, (route) => route.fulfill({ status: 404 }));
  added.on("console", (message) => {
    if (message.type() === "error") complaints.push(`console: ${message.text()} (${message.location().url})`);
  });
  added.on("pageerror", (error) => complaints.push(`script: ${error.message}`));
  added.on("response", (response) => {
    if (response.status() >= 400) complaints.push(`answer ${response.status()}: ${response.url()}`);
  });
  pages.push({ page: added, debug: await context.newCDPSession(added) });
  return turn({ to: pages.length - 1 });
}

function turn({ to }) {
  ({ page, debug } = pages[to]);
  return to;
}

const commands = {
  open: async ({ url }) => void (await page.goto(url, { waitUntil: "domcontentloaded" })),
  eval: ({ js }) => evaluate(js),
  wait: ({ js, ms }) => until(() => evaluate(js), ms),
  frame: ({ js, ms }) => until(() => page.frames()[1]?.evaluate(js).catch(whileLoading), ms),
  click: async ({ selector }) => void (await page.click(selector)),
  press: async ({ key }) => void (await page.keyboard.press(key)),
  hover: async ({ selector }) => void (await page.hover(selector)),
  // What fades in has faded in.
  screenshot: async ({ path }) => void (await page.screenshot({ path, animations: "disabled" })),
  complaints: () => complaints,
  another: addPage,
  turn,
  close: async () => void (await page.close({ runBeforeUnload: false })),
  front: async () => void (await page.bringToFront()),
  plain: servePlain,
};

/**
 * Not by page.evaluate: that passes for a gesture of the viewer's, and then pages may play sound. Nor by
 * page.waitForFunction, which needs an `eval` that the page's Content-Security-Policy rightly forbids.
 */
async function evaluate(expression) {
  const { result, exceptionDetails } = await debug.send("Runtime.evaluate", { expression, returnByValue: true, awaitPromise: true });
  if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
  return result.value;
}

/** A frame that is looked at while its document is being replaced has nothing to say yet. */
function whileLoading(error) {
  if (!/context was destroyed|frame was detached/i.test(error.message)) throw error;
}

async function until(look, ms) {
  for (const end = Date.now() + ms; ; await new Promise((next) => setTimeout(next, 50))) {
    const value = await look();
    if (value) return value;
    if (Date.now() > end) throw new Error(`not within ${ms} ms`);
  }
}

async function servePlain() {
  const here = (path) => new URL(path, import.meta.url);
  const files = {
    "/": ["text/html", await readFile(here("plain.html"))],
    "/embed": ["text/html", await readFile(here("embed.html"))],
    "/hls.min.js": ["text/javascript", await readFile(here("node_modules/hls.js/dist/hls.min.js"))],
  };
  const server = createServer((request, response) => {
    const [type, body] = files[new URL(request.url, "http://plain").pathname] ?? ["image/x-icon", ""];
    response.writeHead(200, { "content-type": type }).end(body);
  });
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  server.unref();
  return `http://127.0.0.1:${server.address().port}/`;
}

const say = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`);
say({ ok: browser.version() });
for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  try {
    say({ ok: (await commands[command.do](command)) ?? null });
  } catch (error) {
    say({ error: error.message });
  }
}
await browser.close();
