// How are pages watched without costing them anything? Playwright listens to the network of every page: what a renderer does and
// keeps for a listener would count as the page's. Here a browser is asked over its pipe, and only what it is asked.
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** What Playwright would set, too: nothing but pages is to use the machine. */
const QUIET = ["--headless", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

/** A browser: `system.send`, `open(url, complain)` for a page in a context of its own, told what it throws; `close()`. */
export async function launch(executablePath, flags) {
  const folder = await mkdtemp(join(tmpdir(), "trellis-bare-"));
  const args = [...flags, ...QUIET, "--remote-debugging-pipe", `--user-data-dir=${folder}`, "about:blank"];
  const child = spawn(executablePath, args, { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
  const complaints = new Map();
  const send = speak(child.stdio[3], child.stdio[4], ({ method, params, sessionId }) => {
    if (method === "Runtime.exceptionThrown") complaints.get(sessionId)?.(params.exceptionDetails.exception?.description ?? params.exceptionDetails.text);
  });
  const gone = new Promise((done) => child.once("exit", done));
  const system = { send: (method, params) => send(method, params) };
  // The browser's own first page: whoever looks for the renderers that begin later must not meet it.
  const began = async () => (await system.send("SystemInfo.getProcessInfo")).processInfo.some(({ type }) => type === "renderer");
  while (!(await began())) await new Promise((done) => setTimeout(done, 20));
  return {
    system,
    version: () => system.send("Browser.getVersion").then(({ product }) => product),
    async open(url, complain) {
      const { browserContextId } = await system.send("Target.createBrowserContext");
      const { targetId } = await system.send("Target.createTarget", { url: "about:blank", browserContextId, width: 480, height: 270 });
      const { sessionId } = await system.send("Target.attachToTarget", { targetId, flatten: true });
      complaints.set(sessionId, complain);
      await send("Runtime.enable", {}, sessionId);
      await send("Page.navigate", { url }, sessionId);
      return { send: (method, params) => send(method, params, sessionId) };
    },
    async close() {
      system.send("Browser.close").catch(() => {});
      await gone;
      await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** Messages end with a zero byte, both ways; what is no answer to anything is `told`. */
function speak(out, from, told) {
  const asked = new Map();
  let [last, rest] = [0, ""];
  from.setEncoding("utf8").on("data", (text) => {
    const messages = (rest + text).split("\0");
    rest = messages.pop();
    for (const message of messages.map((text) => JSON.parse(text))) {
      const { id, result, error } = message;
      if (id === undefined) told(message);
      asked.get(id)?.[error ? "no" : "yes"](error ? new Error(error.message) : result);
      asked.delete(id);
    }
  });
  return (method, params = {}, sessionId) => new Promise((yes, no) => {
    asked.set((last += 1), { yes, no });
    out.write(`${JSON.stringify({ id: last, method, params, sessionId })}\0`);
  });
}
