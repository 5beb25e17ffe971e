/**
 * Findings: how one is built, worded for one or several peers, and sorted.
 *
 * @module
 */

import type { Finding, FindingCode, PeerDiagnosis, Severity } from "./diagnosis.ts";

/** Largest number of addresses that a subject names. */
const MAX_NAMED = 3;

/** Sorts by severity, worst first; findings of one severity keep their order. */
export function inOrder(list: readonly Finding[]): readonly Finding[] {
  const weights: readonly Severity[] = ["error", "warning", "info"];
  return weights.flatMap((weight) => list.filter(({ severity }) => severity === weight));
}

/**
 * Makes one finding about some of the peers, worded by {@linkcode inNumber} for their number; none when `some` is
 * empty.
 */
export function about(
  code: FindingCode,
  severity: Severity,
  all: readonly PeerDiagnosis[],
  some: readonly PeerDiagnosis[],
  [message, advice]: readonly [string, string],
): readonly Finding[] {
  if (some.length === 0) return [];
  const who = inNumber(`${some.length} of ${all.length} {peer|peers}: `, all.length);
  const texts = [who + inNumber(message, some.length), inNumber(advice, some.length)] as const;
  return [finding(code, severity, named(some.map(({ address }) => address)), texts)];
}

/** Makes one finding, with a message (what was found) and advice (what to do). */
export function finding(
  code: FindingCode,
  severity: Severity,
  subject: string,
  [message, advice]: readonly [string, string],
): Finding {
  return { code, severity, subject, message, advice };
}

/** Words a text for one or for several: of `{it is|they are}` it takes one alternative. */
export function inNumber(text: string, count: number): string {
  return text.replaceAll(/\{([^{|}]*)\|([^{|}]*)\}/g, count === 1 ? "$1" : "$2");
}

/** Joins alternatives: `a, b or c`. */
export function either(list: readonly string[]): string {
  return list.length < 2 ? list.join() : `${list.slice(0, -1).join(", ")} or ${list.at(-1)}`;
}

/** Joins the first few of a list, and says how many more there are. */
export function named(list: readonly string[]): string {
  const more = list.length - MAX_NAMED;
  return list.slice(0, MAX_NAMED).join(", ") + (more > 0 ? ` and ${more} more` : "");
}
