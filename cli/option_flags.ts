/**
 * Option flags: replaces the names of mesh options in findings by the flags of the command line.
 *
 * @module
 */

import type { Finding } from "../mod.ts";

/** Flags by option. For an option that can be switched off, the flag that does so. */
export const FLAGS: Readonly<Record<string, string>> = {
  advertiseAddr: "--advertise",
  family: "--family",
  group: "--group",
  heartbeat: "--heartbeat",
  interface: "--interface",
  multicast: "--no-multicast",
  multicastLoopback: "--no-loopback",
  multicastTtl: "--ttl",
  peers: "--peers",
  port: "--port",
  receiveBuffer: "--receive-buffer",
};

/** Matches an option, and perhaps its value. A name after "the option" is to be set on another node, and is kept. */
const OPTION = /(the option )?`([a-zA-Z]+)(?:: ([^`]*))?`/g;

/** Replaces the options that have a flag by it. */
export function inFlags(text: string): string {
  return text.replaceAll(OPTION, (whole: string, kept: string | undefined, name: string, value: string | undefined) => {
    const flag = Object.hasOwn(FLAGS, name) ? FLAGS[name] : undefined;
    if (kept !== undefined || flag === undefined) return whole;
    return value === undefined || value === "false" ? flag : `${flag} ${bare(value)}`;
  });
}

/** Does so in a finding. */
export function findingInFlags({ advice, message, subject, ...rest }: Finding): Finding {
  return { ...rest, subject: flagOf(subject), message: inFlags(message), advice: inFlags(advice) };
}

/** The flag of an option that stands alone. */
export function flagOf(option: string): string {
  return Object.hasOwn(FLAGS, option) ? FLAGS[option] ?? option : option;
}

/** Writes a value as a shell takes it: `["a", "b"]` becomes a,b. */
function bare(value: string): string {
  return value.replaceAll(/[[\]" ]/g, "");
}
