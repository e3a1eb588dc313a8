// How are tickets and keys, which travel as text, made bytes? Throws for text that is none.

/** base64url, without padding */
export function bytesOf64(text: string): Uint8Array {
  const bytes = atob(text.replace(/-/g, "+").replace(/_/g, "/"));
  return Uint8Array.from(bytes, (char) => char.charCodeAt(0));
}

export function bytesOfHex(text: string): Uint8Array {
  return Uint8Array.from(text.match(/../g) ?? [], (two) => Number.parseInt(two, 16));
}
