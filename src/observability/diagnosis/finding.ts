/**
 * How findings are put.
 *
 * @module
 */

import type { Finding, FindingCode, PeerDiagnosis, Severity } from "./diagnosis.ts";

/** Addresses that a subject names. */
const NAMED = 3;

/** Worst first, else as they come. */
export function inOrder(list: readonly Finding[]): readonly Finding[] {
  const weights: readonly Severity[] = ["error", "warning", "info"];
  return weights.flatMap((weight) => list.filter(({ severity }) => severity === weight));
}

/** One finding about some of the peers, in the number that is right for so many: see {@linkcode inNumber}. None about nobody. */
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

/** One finding, with what was found and what to do. */
export function finding(
  code: FindingCode,
  severity: Severity,
  subject: string,
  [message, advice]: readonly [string, string],
): Finding {
  return { code, severity, subject, message, advice };
}

/** A text about one, or about several: of `{it is|they are}` one is taken. */
export function inNumber(text: string, count: number): string {
  return text.replaceAll(/\{([^{|}]*)\|([^{|}]*)\}/g, count === 1 ? "$1" : "$2");
}

/** Alternatives: `a, b or c`. */
export function either(list: readonly string[]): string {
  return list.length < 2 ? list.join() : `${list.slice(0, -1).join(", ")} or ${list.at(-1)}`;
}

/** The first few of a list. */
export function named(list: readonly string[]): string {
  const more = list.length - NAMED;
  return list.slice(0, NAMED).join(", ") + (more > 0 ? ` and ${more} more` : "");
}
