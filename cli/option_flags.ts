/**
 * Findings in the words of the command line: the mesh speaks of its options.
 *
 * @module
 */

import type { Finding } from "../mod.ts";

/** Flags by option. Of options that can be switched off, the flag that does so. */
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

/** An option, and perhaps its value; what comes after "the option" is to be given to another node, and stays. */
const OPTION = /(the option )?`([a-zA-Z]+)(?:: ([^`]*))?`/g;

/** A text with flags in the place of the options that have one. */
export function inFlags(text: string): string {
  return text.replaceAll(OPTION, (whole: string, kept: string | undefined, name: string, value: string | undefined) => {
    const flag = Object.hasOwn(FLAGS, name) ? FLAGS[name] : undefined;
    if (kept !== undefined || flag === undefined) return whole;
    return value === undefined || value === "false" ? flag : `${flag} ${bare(value)}`;
  });
}

/** A finding with such texts. */
export function findingInFlags({ advice, message, subject, ...rest }: Finding): Finding {
  return { ...rest, subject: flagOf(subject), message: inFlags(message), advice: inFlags(advice) };
}

/** The flag for an option that stands alone. */
export function flagOf(option: string): string {
  return Object.hasOwn(FLAGS, option) ? FLAGS[option] ?? option : option;
}

/** As a shell takes it: `["a", "b"]` is a,b. */
function bare(value: string): string {
  return value.replaceAll(/[[\]" ]/g, "");
}
