// What does a page cost? CPU time and memory of its renderer, and whose code the time goes to. Asked through the debugger, so
// that any page can be asked, whatever player is in it.
import { readFile, readdir } from "node:fs/promises";

/** The process a page opened in: contexts share none, so it is the renderer that was not there before. */
export async function rendererOf(system, open) {
  const before = new Set((await processes(system)).map(({ id }) => id));
  await open();
  const fresh = (await processes(system)).filter(({ id, type }) => type === "renderer" && !before.has(id));
  if (fresh.length !== 1) throw new Error(`${fresh.length} renderers began with one page`);
  return fresh[0].id;
}

/** What the page has used and what it holds, in seconds and bytes; after a garbage collection when `collect` says so. */
export async function look(system, { debug, renderer }, collect) {
  if (collect) await debug.send("HeapProfiler.collectGarbage");
  await debug.send("Performance.enable");
  const metric = Object.fromEntries((await debug.send("Performance.getMetrics")).metrics.map(({ name, value }) => [name, value]));
  const heap = await debug.send("Runtime.getHeapUsage");
  const status = await readFile(`/proc/${renderer}/status`, "utf8");
  const kb = (name) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1] ?? NaN) * 1024;
  const all = await processes(system);
  return {
    rendererS: all.find(({ id }) => id === renderer)?.cpuTime ?? NaN, taskS: metric.TaskDuration, workerS: await workerSeconds(renderer),
    browserS: all.reduce((sum, { cpuTime }) => sum + cpuTime, 0), heapBytes: heap.usedSize, buffersBytes: heap.backingStorageSize,
    embedderBytes: heap.embedderHeapUsedSize, rssBytes: kb("VmRSS"), ownBytes: kb("RssAnon") + kb("RssShmem"),
    nodes: metric.Nodes, listeners: metric.JSEventListeners, connections: metric.RTCPeerConnections,
  };
}

/** By owner of the function the main thread was in, sampled, natives for who called them; and the CPU time it used meanwhile,
 * for a sample is of wall time: on a busy machine also of the time in which the thread waited for a core. */
export async function profile({ debug, renderer }, seconds, maps) {
  const used = async () => cpuSeconds(await readFile(`/proc/${renderer}/task/${renderer}/stat`, "utf8"));
  await debug.send("Profiler.enable");
  await debug.send("Profiler.setSamplingInterval", { interval: 500 });
  await debug.send("Profiler.start");
  const before = await used();
  await new Promise((done) => setTimeout(done, seconds * 1000));
  const cpuS = (await used()) - before;
  const { profile: taken } = await debug.send("Profiler.stop");
  const owners = new Map();
  const byId = new Map(taken.nodes.map((node) => [node.id, node]));
  const name = (node, above) => owners.set(node.id, owner(node.callFrame, maps) ?? above) && node.children?.forEach((id) => name(byId.get(id), owners.get(node.id)));
  name(taken.nodes[0], "other");
  const spent = {};
  taken.samples.forEach((id, at) => (spent[owners.get(id)] = (spent[owners.get(id)] ?? 0) + taken.timeDeltas[at] / 1e6));
  return { seconds: (taken.endTime - taken.startTime) / 1e6, cpuS, spent };
}

/** By file name: the maps of a bundle. */
export async function readMaps(folder, SourceMap) {
  const names = (await readdir(folder)).filter((name) => name.endsWith(".js.map"));
  const read = async (name) => [name.slice(0, -4), new SourceMap(JSON.parse(await readFile(`${folder}/${name}`, "utf8")))];
  return new Map(await Promise.all(names.map(read)));
}

/** null: a native function. */
function owner({ functionName, url, lineNumber, columnNumber }, maps) {
  if (/^\((root|program|idle|garbage collector)\)$/.test(functionName)) return functionName.slice(1, -1);
  if (url === "") return null;
  if (url.startsWith("wasm:") || url.endsWith(".wasm")) return "wasm";
  const source = maps.get(new URL(url).pathname.split("/").pop())?.findEntry(lineNumber, columnNumber).originalSource ?? "";
  if (source.includes("node_modules/hls.js/")) return "hls.js";
  if (source.includes("sdk/")) return "sdk";
  return source.includes("src/") ? "watch page" : "other";
}

async function processes(system) {
  return (await system.send("SystemInfo.getProcessInfo")).processInfo;
}

/** Of workers, which the page's profile does not hold: what their threads have used. */
async function workerSeconds(pid) {
  const threads = await readdir(`/proc/${pid}/task`);
  const used = await Promise.all(threads.map(async (id) => {
    const stat = await readFile(`/proc/${pid}/task/${id}/stat`, "utf8").catch(() => "");
    return stat.includes("(DedicatedWorker") ? cpuSeconds(stat) : 0;
  }));
  return used.reduce((sum, s) => sum + s, 0);
}

/** User and kernel, of a line of /proc, whose ticks are hundredths of a second. */
function cpuSeconds(stat) {
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
