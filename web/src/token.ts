// Where does the viewer token stay once it has left the address bar?
// In this tab only (sessionStorage), so that a reload still plays; never in a URL, never shared between tabs.
// Storage may be forbidden (sandboxed iframe, private mode): then the token lives as long as the page.

export function keepToken(stream: string, token: string): void {
  try {
    sessionStorage.setItem(key(stream), token);
  } catch {
    // The page still has it in memory.
  }
}

export function keptToken(stream: string): string | null {
  try {
    return sessionStorage.getItem(key(stream));
  } catch {
    return null;
  }
}

export function forgetToken(stream: string): void {
  try {
    sessionStorage.removeItem(key(stream));
  } catch {
    // Nothing was kept.
  }
}

const key = (stream: string) => `trellis.token.${stream}`;
