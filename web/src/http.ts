// How is a small JSON document fetched with a time limit?
// null means: no answer (network, timeout). An answer that is not JSON has the body undefined.

export interface Answer {
  status: number;
  body: unknown;
  retryAfter: string | null;
  /** Local clock when the request left and when its headers were back, ms. */
  sentMs: number;
  heardMs: number;
}

export async function getJson(url: string, timeoutMs: number, init: RequestInit = {}): Promise<Answer | null> {
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), timeoutMs);
  const sentMs = Date.now();
  try {
    const response = await fetch(url, { ...init, cache: "no-store", credentials: "omit", signal: abort.signal });
    const heardMs = Date.now();
    const body: unknown = await response.json().catch(() => undefined);
    return { status: response.status, body, retryAfter: response.headers.get("Retry-After"), sentMs, heardMs };
  } catch {
    return null;
  } finally {
    clearTimeout(timer);
  }
}
