// Where does the engine come from? One WebAssembly file beside the script, asked for once, as early as the script runs.
import init, { Options, PeerEngine } from "../wasm/trellis_wasm.js";

export { Options, PeerEngine };

let loading: Promise<boolean> | null = null;

/** Starts loading at once. False: this browser, or the page's Content-Security-Policy, does not let it run. */
export function loadEngine(url?: string | URL): Promise<boolean> {
  loading ??= start(url);
  return loading;
}

async function start(url?: string | URL): Promise<boolean> {
  if (typeof WebAssembly !== "object") return false;
  try {
    await init(url === undefined ? undefined : { module_or_path: url });
    return true;
  } catch {
    return false;
  }
}
