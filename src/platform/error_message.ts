/**
 * Why something failed: what was thrown.
 *
 * @module
 */

import { show } from "../errors.ts";

/** What was thrown, as a message quotes it: one line, at most 160 characters. Never throws. */
export function messageOf(thrown: unknown): string {
  let text: unknown;
  try {
    text = thrown instanceof Error ? thrown.message : undefined;
  } catch { /* a getter, or a proxy */ }
  const line = typeof text === "string" && text !== "" ? text.replaceAll(/[\s\p{Cc}]+/gu, " ") : show(thrown);
  return line.length > 160 ? `${line.slice(0, 157)}...` : line;
}

/** What was thrown, as an error: itself if it is one. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
