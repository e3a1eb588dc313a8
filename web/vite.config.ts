// How the watch page is bundled: one index.html for every route, so every URL in it is absolute
// and every asset carries a hash in its name (the server may send it as immutable).
import { defineConfig, type Plugin } from "vite";

/** hls.js is imported lazily, and imports the engine; this starts both downloads beside the entry's, not one after the other. */
function preloadPlayer(): Plugin {
  const link = (fileName: string, attrs: Record<string, string>) => ({
    tag: "link",
    attrs: { ...attrs, href: `/${fileName}`, crossorigin: true },
    injectTo: "head" as const,
  });
  return {
    name: "preload-player",
    transformIndexHtml: {
      order: "post",
      handler: (_html, ctx) =>
        Object.values(ctx.bundle ?? {}).flatMap((file) => {
          if (file.type === "chunk") return file.name === "choose" ? [link(file.fileName, { rel: "modulepreload" })] : [];
          return file.fileName.endsWith(".wasm") ? [link(file.fileName, { rel: "preload", as: "fetch" })] : [];
        }),
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
