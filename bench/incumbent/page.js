// The incumbent's page: hls.js with p2p-media-loader, tuned as its documentation and measurements suggest, and the same
// figures as `window.trellis.stats()` gives (web/README.md). Everything comes from the page's address:
//
//   ?src=<play.m3u8>&tracker=<ws URL>&swarm=<name>&segment=<seconds>
import Hls from "hls.js";
import { HlsJsP2PEngine } from "p2p-media-loader-hlsjs";

const ask = new URLSearchParams(location.search);
const video = document.querySelector("video");
const born = performance.now();
const seen = { httpBytes: 0, p2pBytes: 0, uploadedBytes: 0, startupMs: null, stalls: 0, stallMs: 0, peers: 0 };

const Engine = HlsJsP2PEngine.injectMixin(Hls);
const hls = new Engine({
  lowLatencyMode: false,
  liveSyncDurationCount: 3,
  p2p: {
    core: { announceTrackers: [ask.get("tracker")], swarmId: ask.get("swarm"), rtcConfig: { iceServers: [] }, highDemandTimeWindow: Number(ask.get("segment")) },
    onHlsJsCreated(hls) {
      const engine = hls.p2pEngine;
      engine.addEventListener("onChunkDownloaded", (bytes, source) => (seen[source === "p2p" ? "p2pBytes" : "httpBytes"] += bytes));
      engine.addEventListener("onChunkUploaded", (bytes) => (seen.uploadedBytes += bytes));
      engine.addEventListener("onPeerConnect", () => (seen.peers += 1));
      engine.addEventListener("onPeerClose", () => (seen.peers -= 1));
    },
  },
});
hls.loadSource(ask.get("src"));
hls.attachMedia(video);

let stoodAt = null;
const moves = () => {
  if (stoodAt !== null) seen.stallMs += performance.now() - stoodAt;
  stoodAt = null;
  seen.startupMs ??= performance.now() - born;
};
video.addEventListener("playing", moves);
video.addEventListener("waiting", () => {
  if (seen.startupMs === null || stoodAt !== null) return;
  stoodAt = performance.now();
  seen.stalls += 1;
});
void video.play();

const latencyMs = () => (hls.playingDate ? Date.now() - hls.playingDate.getTime() : null);
const stalling = () => (stoodAt === null ? 0 : performance.now() - stoodAt);
window.trellis = { stats: () => ({ ...seen, stallMs: seen.stallMs + stalling(), latencyMs: latencyMs(), mode: "incumbent" }) };
