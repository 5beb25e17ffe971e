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

/** One finding about some of the peers; none about nobody. */
export function about(
  code: FindingCode,
  severity: Severity,
  all: readonly PeerDiagnosis[],
  some: readonly PeerDiagnosis[],
  [message, advice]: readonly [string, string],
): readonly Finding[] {
  if (some.length === 0) return [];
  const who = `${some.length} of ${all.length} peers: `;
  return [finding(code, severity, named(some.map(({ address }) => address)), [who + message, advice])];
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

/** The first few of a list. */
export function named(list: readonly string[]): string {
  const more = list.length - NAMED;
  return list.slice(0, NAMED).join(", ") + (more > 0 ? ` and ${more} more` : "");
}
