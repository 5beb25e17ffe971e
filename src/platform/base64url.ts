/**
 * Base64url: bytes as a text that fits a URL, a header and a cookie (RFC 4648, section 5), without padding.
 *
 * @module
 */

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** The text of some bytes. */
export function toBase64url(bytes: Uint8Array): string {
  let text = "";
  let bits = 0;
  let count = 0;
  for (const byte of bytes) {
    bits = (bits << 8) | byte;
    for (count += 8; count >= 6; count -= 6) text += ALPHABET[(bits >> (count - 6)) & 63];
    bits &= 0xff;
  }
  return count === 0 ? text : text + ALPHABET[(bits << (6 - count)) & 63];
}

/** The bytes of a text. `undefined` when it is not what {@linkcode toBase64url} makes of any bytes. */
export function fromBase64url(text: string): Uint8Array | undefined {
  const bytes = new Uint8Array((text.length * 6) >> 3);
  let bits = 0;
  let count = 0;
  let at = 0;
  for (const letter of text) {
    const value = ALPHABET.indexOf(letter);
    if (value < 0) return undefined;
    bits = ((bits & 0xff) << 6) | value;
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes[at++] = (bits >> count) & 0xff;
  }
  // The bits that are left over must be fewer than a letter has, and 0.
  return count >= 6 || (bits & ((1 << count) - 1)) !== 0 ? undefined : bytes;
}
