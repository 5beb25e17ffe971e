// Hexadecimal text: bytes of it, and it of bytes.

/** Bytes of a hexadecimal text. */
export function fromHex(text: string): Uint8Array {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

/** Bytes of a node id as text, with hyphens. */
export function nodeIdBytes(text: string): Uint8Array {
  return fromHex(text.replaceAll("-", ""));
}

/** Hexadecimal text of bytes. */
export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
