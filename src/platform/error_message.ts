/**
 * Error messages: the message, the error and the code of anything that was thrown.
 *
 * @module
 */

import { show } from "../errors.ts";

/** The text of a thrown value for a message: one line, at most 160 characters. Never throws. */
export function messageOf(thrown: unknown): string {
  let text: unknown;
  try {
    text = thrown instanceof Error ? thrown.message : undefined;
  } catch { /* a getter, or a proxy */ }
  const line = typeof text === "string" && text !== "" ? text.replaceAll(/[\s\p{Cc}]+/gu, " ") : show(thrown);
  return line.length > 160 ? `${line.slice(0, 157)}...` : line;
}

/** A thrown value as an error: itself if it is one. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

/**
 * The `code` of a thrown value, as of the runtimes' system errors; `undefined` when it has none. It is read of any
 * object: an error of another realm, such as a test runner's context, is no `Error` here.
 */
export function codeOf(thrown: unknown): unknown {
  return (thrown as { readonly code?: unknown } | null | undefined)?.code;
}
