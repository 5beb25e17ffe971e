/**
 * SRV look-up: SRV records of the system's name servers, the same on Node, Deno and Bun.
 *
 * @module
 */

import { Resolver } from "node:dns/promises";
import { readFile } from "node:fs/promises";
import { codeOf } from "../src/platform/error_message.ts";
import type { ResolveSrv, SrvRecord } from "../src/platform/host.ts";

/** A Unix path: other systems have no such file, and names are queried as they are. */
export const RESOLV_CONF = "/etc/resolv.conf";

// As long as the C library waits by default. Otherwise Node and Bun go on for 26 to 29 s without an answer, and a
// process does not exit meanwhile.
const PATIENCE = { timeout: 5_000, tries: 2 };

// Deno applies the search list itself.
const IS_DENO = "Deno" in globalThis;

/**
 * Looks up a name as resolv.conf(5) says, including the search list. The resolver of Node and Bun queries the name as
 * it is, and does not find `_warp-mesh._udp.cache.default.svc`, which lacks the domain of the cluster.
 */
export const resolveSrv: ResolveSrv = async (name) => {
  const names = IS_DENO ? [name] : candidates(name, await readFile(RESOLV_CONF, "utf8").catch(() => ""));
  const resolver = new Resolver(PATIENCE);
  let failure: unknown;
  for (const candidate of names) {
    try {
      return (await resolver.resolveSrv(candidate)).map(({ name, port }): SrvRecord => ({ host: name, port }));
    } catch (error) {
      if (!isUnknownName(error)) throw explained(error);
      if (candidate === name) failure = error;
    }
  }
  throw failure;
};

/** The names to query, in order: resolv.conf(5), `search` and `ndots`. The name itself is always among them. */
export function candidates(name: string, resolvConf: string): readonly string[] {
  if (name.endsWith(".")) return [name];
  let domains: readonly string[] = [];
  let ndots = 1;
  for (const line of resolvConf.split("\n")) {
    const [keyword = "", ...words] = line.trim().split(/\s+/);
    // When there are several lines, the last counts.
    if (keyword === "search" || keyword === "domain") domains = words;
    if (keyword !== "options") continue;
    for (const word of words) ndots = Number(/^ndots:(\d{1,2})$/.exec(word)?.[1] ?? ndots);
  }
  const longer = domains.filter((domain) => domain !== ".").map((domain) => `${name}.${domain.replace(/\.$/, "")}`);
  const dots = name.split(".").length - 1;
  return dots >= ndots ? [name, ...longer] : [...longer, name];
}

/** Whether the name servers answered that the name, or such a record of it, does not exist. */
export function isUnknownName(error: unknown): boolean {
  const code = codeOf(error);
  return code === "ENOTFOUND" || code === "ENODATA";
}

/** Deno says only UNKNOWN when it is not permitted to query the name server. */
function explained(error: unknown): unknown {
  if (!IS_DENO || codeOf(error) !== "UNKNOWN") return error;
  const rule = "the name must be one, and the name servers permitted (--allow-net, or each with its port 53)";
  return new Error(`${rule}: ${(error as Error).message}`, { cause: error });
}
