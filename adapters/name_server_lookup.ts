/**
 * Name server look-up: resolves names by the hosts file and the name servers without a thread of the runtime. It serves
 * names that wait behind one without an answer.
 *
 * It is no substitute for the system's resolver, which knows more than these two (mDNS, NIS, what nsswitch.conf(5)
 * says). Names that it does not find wait for that resolver.
 *
 * @module
 */

import { Resolver } from "node:dns/promises";
import { readFile } from "node:fs/promises";
import { candidates, isUnknownName, RESOLV_CONF } from "./srv_lookup.ts";

// A Unix path: other systems have no such file, and only the name servers are queried.
const HOSTS = "/etc/hosts";

// A name server that is silent for longer is left to the system's resolver.
const PATIENCE = { timeout: 2_000, tries: 2 };

/** All addresses of a name, IPv4 and IPv6. Rejects when none is found, or when a name server does not answer. */
export async function resolveDirectly(host: string): Promise<readonly string[]> {
  const listed = listedIn(await readFile(HOSTS, "utf8").catch(() => ""), host);
  if (listed.length > 0) return listed;
  const resolver = new Resolver(PATIENCE);
  for (const name of candidates(host, await readFile(RESOLV_CONF, "utf8").catch(() => ""))) {
    const found = await Promise.all([known(resolver.resolve4(name)), known(resolver.resolve6(name))]);
    if (found.flat().length > 0) return found.flat();
  }
  throw new Error("neither the hosts file nor the name servers know it");
}

/** The addresses of a name in a hosts file: hosts(5). */
export function listedIn(hosts: string, name: string): readonly string[] {
  const wanted = name.toLowerCase().replace(/\.$/, "");
  const found = new Set<string>();
  for (const line of hosts.split("\n")) {
    const [address = "", ...names] = line.replace(/#.*/, "").trim().toLowerCase().split(/\s+/);
    if (names.includes(wanted)) found.add(address);
  }
  return [...found];
}

/** A name that does not exist has no address; any other failure means that there was no answer. */
async function known(answer: Promise<readonly string[]>): Promise<readonly string[]> {
  try {
    return await answer;
  } catch (error) {
    if (isUnknownName(error)) return [];
    throw error;
  }
}
