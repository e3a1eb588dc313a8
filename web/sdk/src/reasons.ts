// Why is my P2P share zero, or small? Every cause has a word for programs and a sentence for people.

export type Reason =
  | "starting" | "on" | "alone" | "linking" | "receive_only" | "operator_receives" | "few" | "no_links" | "no_webrtc" | "no_wasm" | "engine_failed"
  | "link_refused" | "link_lost" | "no_room" | "ticket" | "operator_off" | "asked_off" | "save_data"
  | "layered" | "no_link_offered" | "ended" | "behind";

const SENTENCES: Record<Reason, string> = {
  starting: "The mesh is being joined.",
  on: "Taking from and giving to other viewers.",
  alone: "Nobody else is watching from this edge yet: everything comes from it.",
  linking: "Links to other viewers are being made.",
  receive_only: "Taking from other viewers, giving nothing: this device or line is not to upload.",
  operator_receives: "The operator lets no viewer of this stream upload: everything comes from the edge.",
  few: "The operator lets viewers see each other only where there are several, and there are too few yet: everything comes from the edge.",
  no_links: "No link to another viewer could be made: the network between them does not let one through (UDP blocked, or clients kept apart).",
  no_webrtc: "This browser has no WebRTC, or it is switched off: everything comes from the edge.",
  no_wasm: "The engine could not be loaded (no WebAssembly, or the page's Content-Security-Policy forbids it): plain HLS from the edge.",
  engine_failed: "The engine stopped with a fault of its own: plain HLS from the edge.",
  link_refused: "The edge's WebSocket could not be opened (a proxy or firewall in between?): plain HLS from the edge.",
  link_lost: "The link to the edge was lost and is being made again.",
  no_room: "The edge's cluster has no room for another viewer at the moment: plain HLS from the edge.",
  ticket: "The edge did not accept the ticket for the mesh: plain HLS from the edge.",
  operator_off: "The operator has switched P2P off for this stream.",
  asked_off: "P2P is switched off by choice.",
  save_data: "P2P is off because the browser is to save data.",
  layered: "This stream is layered, which browsers take from the edge.",
  no_link_offered: "The server offers no mesh for this stream.",
  ended: "The stream has ended.",
  behind: "What is being watched lies further back than other viewers keep: it comes from the edge.",
};

export const sentence = (reason: Reason): string => SENTENCES[reason];

/** Why the edge ended the link, by the codes of `spec/wire.md` §11.2. */
export function ofBye(code: number): Reason {
  switch (code) {
    case 2:
      return "ticket";
    case 3:
      return "no_room";
    case 9:
      return "ended";
    default:
      return "link_lost";
  }
}
