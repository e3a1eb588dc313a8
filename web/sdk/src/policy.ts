// What may this viewer give? The operator's word, the viewer's, the app's and what the browser tells of the line; the most
// careful of them holds. Pure.

export type P2p = "on" | "receive-only" | "off";

export interface Circumstances {
  /** What the app, or the viewer through it, asked for; null: nothing was said. */
  asked: P2p | null;
  /** The operator's policy for the stream. */
  operator: P2p;
  /** navigator.connection.saveData */
  saveData: boolean;
  /** navigator.connection.type, where the browser tells: "cellular", "wifi", … */
  connection: string | null;
  phone: boolean;
}

export interface Decision {
  p2p: P2p;
  why: "asked" | "operator" | "save_data" | "cellular" | "phone" | null;
}

/** Whoever said nothing gives, but not from a phone, whose battery and contract nobody here knows. */
export function decide(c: Circumstances): Decision {
  if (c.operator === "off") return { p2p: "off", why: "operator" };
  if (c.asked === "off") return { p2p: "off", why: "asked" };
  if (c.saveData) return { p2p: "off", why: "save_data" };
  if (c.operator === "receive-only") return { p2p: "receive-only", why: "operator" };
  if (c.connection === "cellular") return { p2p: "receive-only", why: "cellular" };
  if (c.asked === "receive-only") return { p2p: "receive-only", why: "asked" };
  if (c.asked === null && c.phone) return { p2p: "receive-only", why: "phone" };
  return { p2p: "on", why: null };
}

interface Connection extends EventTarget {
  saveData?: boolean;
  type?: string;
}

const connection = (): Connection | undefined => (navigator as { connection?: Connection }).connection;

/** As this browser has it. */
export function circumstances(asked: P2p | null, operator: P2p): Circumstances {
  const agent = navigator as { userAgentData?: { mobile?: boolean } };
  return {
    asked,
    operator,
    saveData: connection()?.saveData === true,
    connection: connection()?.type ?? null,
    phone: agent.userAgentData?.mobile ?? /Android|iPhone|iPod|Mobile/.test(navigator.userAgent),
  };
}

/** Calls back when the line becomes another one; returns how to stop. */
export function onLineChange(changed: () => void): () => void {
  const line = connection();
  line?.addEventListener?.("change", changed);
  return () => line?.removeEventListener?.("change", changed);
}

/** The wire's word, and ours. */
export function readP2p(value: unknown): P2p | null {
  const word = value === "receive_only" ? "receive-only" : value;
  return word === "on" || word === "receive-only" || word === "off" ? word : null;
}
