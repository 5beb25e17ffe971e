/**
 * DNS answers: checks what resolvers answer, as it comes from the network.
 *
 * @module
 */

import { show } from "../errors.ts";
import { hostLiteral, isHostName } from "../net/address_family.ts";
import type { Family } from "../platform/endpoint.ts";
import type { SrvRecord } from "../platform/host.ts";

/** The addresses of an answer that a mesh can use, each once, and how many of them it cannot. */
export interface Hosts {
  readonly hosts: readonly string[];
  readonly unusable: number;
}

/**
 * Reads the addresses of a name. Addresses of the other family, and what is no address of one host, are left out.
 *
 * @throws {TypeError} when the answer is no array
 */
export function readHosts(answer: unknown, family: Family): Hosts {
  const list = arrayOf(answer);
  const hosts = new Set<string>();
  let unusable = 0;
  for (const item of list) {
    const literal = typeof item === "string" ? hostLiteral(item, family) : undefined;
    if (literal !== undefined) hosts.add(literal);
    // Addresses of the other family are not counted, as most names have both.
    else if (typeof item !== "string" || hostLiteral(item, family === 4 ? 6 : 4) === undefined) unusable++;
  }
  return { hosts: [...hosts], unusable };
}

/** The targets of SRV records, each once, and how many records name no usable target. */
export interface Targets {
  readonly targets: readonly SrvRecord[];
  readonly unusable: number;
}

/**
 * Reads SRV records. A target that is the root says that the domain has no such service (RFC 2782).
 *
 * @throws {TypeError} when the answer is no array
 */
export function readTargets(answer: unknown, family: Family): Targets {
  const list = arrayOf(answer) as readonly (Partial<SrvRecord> | null | undefined)[];
  const targets = new Map<string, SrvRecord>();
  let unusable = 0;
  for (const item of list) {
    const { host, port } = item ?? {};
    if (host === "." || host === "") continue;
    if (isTarget(host, family) && isPort(port)) targets.set(`${host}:${port}`, { host, port });
    else unusable++;
  }
  return { targets: [...targets.values()], unusable };
}

function isTarget(host: unknown, family: Family): host is string {
  return typeof host === "string" && (isHostName(host) || hostLiteral(host, family) !== undefined);
}

function isPort(port: unknown): port is number {
  return Number.isInteger(port) && (port as number) > 0 && (port as number) <= 65535;
}

function arrayOf(answer: unknown): readonly unknown[] {
  if (Array.isArray(answer)) return answer;
  throw new TypeError(`the answer must be an array: current value is ${show(answer)}`);
}
