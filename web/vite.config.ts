// How the watch page is bundled: one index.html for every route, so every URL in it is absolute
// and every asset carries a hash in its name (the server may send it as immutable).
import { defineConfig, type Plugin } from "vite";

/** hls.js is imported lazily; this starts its download beside the entry's, not after it. */
function preloadPlayer(): Plugin {
  return {
    name: "preload-player",
    transformIndexHtml: {
      order: "post",
      handler: (_html, ctx) =>
        Object.values(ctx.bundle ?? {})
          .filter((file) => file.type === "chunk" && file.name === "choose")
          .map((file) => ({
            tag: "link",
            attrs: { rel: "modulepreload", href: `/${file.fileName}`, crossorigin: true },
            injectTo: "head" as const,
          })),
    },
  };
}

export default defineConfig({
  base: "/",
  plugins: [preloadPlayer()],
  build: {
    target: "es2020",
    assetsInlineLimit: 0, // no data: URLs, so that a strict Content-Security-Policy holds
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    chunkSizeWarningLimit: 700,
  },
  test: { include: ["test/**/*.test.ts"], environment: "node" },
} as Parameters<typeof defineConfig>[0]);
