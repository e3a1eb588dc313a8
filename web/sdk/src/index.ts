// Viewers of a Trellis stream give to each other. For a page with hls.js:
//
//   const mesh = new Mesh({ admission: readAdmission(await join(), url) });
//   const hls = new Hls({ ...hlsConfig(mesh) });
//   const stop = follow(mesh, hls, video);
//   hls.loadSource(admission.hls); hls.attachMedia(video);
//   …
//   stop(); mesh.leave(); hls.destroy();
//
// Nothing here needs a secure context, and nothing throws: what cannot be done becomes plain HLS and `mesh.stats().reason`.
export { readAdmission } from "./admission";
export { follow, hlsConfig } from "./hls";
export { Mesh, type Admission, type MeshOptions, type Past } from "./mesh";
export { readP2p, type P2p } from "./policy";
export { sentence, type Reason } from "./reasons";
export { addStats, type MeshStats, type Rescue } from "./stats";
export type { LinkStats } from "./peer-links";
export { loadEngine } from "./wasm";
