// Assertion error: what every failed assertion throws.

/** What every failed assertion throws. */
export class AssertionError extends Error {
  override readonly name = "AssertionError";
}

/** Appends the caller's own message, as `@std/assert` does. */
export function withSuffix(message: string, msg: string | undefined): string {
  return msg ? `${message.replace(/\.$/, "")}: ${msg}` : message;
}
