// The incumbent's servers: its page, bundled here; its tracker; and playlists as it knows them, which is without parts and
// without reloads that wait, for with those it does not recognise its own playlists and takes everything from the server.
// Media comes straight from the server that is measured. Prints {"page": …, "tracker": …} when both stand.
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import Server from "bittorrent-tracker/server";
import { build } from "esbuild";

const here = new URL(".", import.meta.url);
// The library's own entry wants node's modules; its ready-made one does not.
const core = new URL("node_modules/p2p-media-loader-core/dist/p2p-media-loader-core.es.js", here).pathname;
const { outputFiles } = await build({
  entryPoints: [new URL("page.js", here).pathname], bundle: true, format: "esm", minify: true, write: false,
  alias: { "p2p-media-loader-core": core },
});
const files = { "/": ["text/html", await readFile(new URL("page.html", here))], "/page.js": ["text/javascript", outputFiles[0].contents] };

/** Low-latency tags of RFC 8216bis. */
const NEW = /^#EXT-X-(SERVER-CONTROL|PART|PART-INF|PRELOAD-HINT|SKIP|RENDITION-REPORT)[:\n]?.*\n?/gm;

/** A playlist of the server that is measured; what it names is named in full, playlists by way of here. */
async function playlist(source) {
  const answer = await fetch(source);
  const full = (name) => new URL(name, answer.url).href;
  const named = (name) => (name.includes(".m3u8") ? `/hls.m3u8?of=${encodeURIComponent(full(name))}` : full(name));
  const text = (await answer.text()).replace(NEW, "");
  return text.replace(/URI="([^"]+)"/g, (_, name) => `URI="${named(name)}"`).replace(/^(?!#)(.+)$/gm, (_, name) => named(name));
}

const pages = createServer(async ({ url }, response) => {
  const { pathname, searchParams } = new URL(url, "http://here");
  const live = pathname === "/hls.m3u8" && ["application/vnd.apple.mpegurl", await playlist(searchParams.get("of")).catch(() => "")];
  const [type, body] = live || files[pathname] || [];
  response.writeHead(type ? 200 : 404, { "content-type": type ?? "text/plain" }).end(body);
});
const tracker = new Server({ udp: false, http: false, ws: true, stats: false, interval: 100_000 }); // it divides by five
await Promise.all([new Promise((up) => pages.listen(0, "127.0.0.1", up)), new Promise((up) => tracker.listen(0, "127.0.0.1", up))]);
console.log(JSON.stringify({ page: `http://127.0.0.1:${pages.address().port}/`, tracker: `ws://127.0.0.1:${tracker.ws.address().port}` }));
