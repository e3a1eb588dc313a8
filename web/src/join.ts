// What does the manager answer to "may I watch"?
// Every answer, and every failure to get one, becomes exactly one Event for the page; nothing throws.
import type { Past } from "../sdk/src/index";
import { absolute, readAdmission as readMesh } from "../sdk/src/admission";
import type { Admission, Event, Publisher } from "./page";
import { getJson } from "./http";

const TIMEOUT_MS = 8_000;
/** A wait the server asks for is believed up to here. */
const RETRY_AFTER_S_MAX = 120;
const PUBLISHERS: readonly string[] = ["waiting", "live", "paused", "ended", "vod"];

/** `past`: null, and a plain player joins, whom servers must carry alone; else one that gives to others, and these are the
 * tickets of the edges it lost, or that had no room, just now. */
export async function join(stream: string, token: string | null, past: Past | null): Promise<Event> {
  const headers: Record<string, string> = token ? { Authorization: `Bearer ${token}` } : {};
  if (past) headers["Content-Type"] = "application/json";
  const answer = await getJson(`/v1/streams/${encodeURIComponent(stream)}/join`, TIMEOUT_MS, {
    method: "POST",
    headers,
    ...(past && { body: JSON.stringify(past) }),
  });
  if (!answer) return { is: "unreachable" };
  return readAnswer(answer.status, answer.body, answer.retryAfter, location.href);
}

/** Pure, for tests. `base` is what a relative `hls` is resolved against. */
export function readAnswer(status: number, body: unknown, retryAfter: string | null, base: string): Event {
  const said = (typeof body === "object" && body !== null ? body : {}) as Record<string, unknown>;
  if (status === 200) {
    const admission = readAdmission(said, base);
    return admission ? { is: "admitted", admission } : { is: "unreachable" };
  }
  return {
    is: "refused",
    status,
    error: text(said.error) || `http_${status}`,
    message: text(said.message),
    retryAfterS: retrySeconds(said.retry_after) ?? retrySeconds(retryAfter),
  };
}

export function readPublisher(value: unknown): Publisher | null {
  return PUBLISHERS.includes(String(value)) ? (value as Publisher) : null;
}

function readAdmission(said: Record<string, unknown>, base: string): Admission | null {
  const hls = absolute(said.hls, base);
  if (hls === null) return null;
  const maxRate = typeof said.max_rate === "number" && said.max_rate > 0 ? said.max_rate : null;
  return { hls, publisher: readPublisher(said.state) ?? "live", maxRate, mesh: readMesh(said, base) };
}

function retrySeconds(value: unknown): number | null {
  const n = typeof value === "string" && value !== "" ? Number(value) : value;
  return typeof n === "number" && n >= 0 ? Math.min(n, RETRY_AFTER_S_MAX) : null;
}

const text = (value: unknown) => (typeof value === "string" ? value : "");
