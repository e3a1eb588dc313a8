// What does the answer to a join say of the mesh? Pure; `base` is the manager's address, which relative ones are meant from.
import type { Admission } from "./mesh";
import { readP2p } from "./policy";

/** null: it is no admission at all. What of it is missing or odd means that there is no mesh. */
export function readAdmission(said: unknown, base: string): Admission | null {
  const answer = (typeof said === "object" && said !== null ? said : {}) as Record<string, unknown>;
  const hls = absolute(answer.hls, base);
  if (hls === null || typeof answer.ticket !== "string" || typeof answer.stream !== "string") return null;
  const key = answer.origin_key;
  const port = answer.stun_port;
  return {
    stream: answer.stream,
    ticket: answer.ticket,
    hls,
    link: absolute(answer.link, base),
    originKey: typeof key === "string" && /^[0-9a-f]{64}$/.test(key) ? key : null,
    stunPort: typeof port === "number" && port > 0 && port < 65_536 ? port : null,
    p2p: readP2p(answer.p2p) ?? "on",
    viewersMin: typeof answer.viewers_min === "number" ? answer.viewers_min : 0,
  };
}

export function absolute(address: unknown, base: string): string | null {
  if (typeof address !== "string" || address === "") return null;
  try {
    const url = new URL(address, base);
    return url.protocol === "http:" || url.protocol === "https:" ? url.href : null;
  } catch {
    return null;
  }
}
