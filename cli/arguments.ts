/**
 * What the program is called with.
 *
 * @module
 */

import { parseArgs } from "node:util";
import type { MeshOptions } from "../mod.ts";

/** What to do. */
export type Call =
  | { readonly do: "help" }
  /** `wait` and `timeout` are in milliseconds; `wait` is absent when it depends on the heartbeat. */
  | {
    readonly do: "doctor";
    readonly options: MeshOptions;
    readonly isJson: boolean;
    readonly isScouting: boolean;
    readonly wait: number | undefined;
    readonly timeout: number;
  };

/** How the program is called. */
export const USAGE = `Usage: npx @warp-mesh/bus doctor [options]

Joins a mesh as one more node, and says why nodes do not see each other. Give it the options of your nodes.

  --port <number>        port of the mesh                          (7946)
  --group <address>      multicast group                           (239.0.0.1, ff12::5752:1)
  --family <4|6>         IPv4 or IPv6                              (that of the group)
  --interface <name>     name or address; may be repeated; "all"   (what the system chooses)
  --peers <host:port>    seeds; may be repeated, or a list: a,b
  --advertise <address>  host:port under which others reach this node
  --heartbeat <ms>       time between heartbeats                   (5000)
  --no-multicast         seeds only
  --wait <ms>            longest wait for others                   (two heartbeats)
  --timeout <ms>         longest wait for their answers            (2000)
  --no-scout             do not look for nodes with other options, on other interfaces
  --json                 print JSON
  --help                 print this

Exit code: 0 when no finding is an error, 1 when one is, 2 when it was called wrongly.
What each finding means: docs/troubleshooting.md
`;

/** Wrong arguments; the message says which, and how they must be. */
export class UsageError extends Error {
  /** `"UsageError"`. */
  override readonly name = "UsageError";
}

/**
 * Reads arguments. The options of the mesh are checked when it opens.
 *
 * @throws {UsageError} when they are wrong
 */
export function readArguments(args: readonly string[]): Call {
  const { values, positionals } = parse(args);
  if (values.help) return { do: "help" };
  const [command, ...others] = positionals;
  if (command !== "doctor" || others.length > 0) {
    throw new UsageError(`Cannot run as the command must be "doctor": current value is "${positionals.join(" ")}"`);
  }
  const { advertise, family, group, heartbeat, port } = values;
  const names = values.interface ?? [];
  const peers = (values.peers ?? []).flatMap((list) => list.split(",")).map((text) => text.trim());
  return {
    do: "doctor",
    options: {
      ...port !== undefined && { port: numberOf("port", port) },
      ...group !== undefined && { group },
      ...family !== undefined && { family: familyOf(family) },
      ...names.length > 0 && { interface: names.length === 1 ? names[0] as string : names },
      ...peers.length > 0 && { peers },
      ...advertise !== undefined && { advertiseAddr: advertise },
      ...heartbeat !== undefined && { heartbeat: numberOf("heartbeat", heartbeat) },
      ...values["no-multicast"] && { multicast: false },
    },
    isJson: values.json ?? false,
    isScouting: !values["no-scout"],
    wait: values.wait === undefined ? undefined : durationOf("wait", values.wait, 0),
    timeout: durationOf("timeout", values.timeout ?? "2000", 100),
  };
}

type Parsed = ReturnType<typeof parseArgs<{ options: typeof OPTIONS; allowPositionals: true }>>;

const OPTIONS = {
  port: { type: "string" },
  group: { type: "string" },
  family: { type: "string" },
  interface: { type: "string", multiple: true },
  peers: { type: "string", multiple: true },
  advertise: { type: "string" },
  heartbeat: { type: "string" },
  "no-multicast": { type: "boolean" },
  wait: { type: "string" },
  timeout: { type: "string" },
  "no-scout": { type: "boolean" },
  json: { type: "boolean" },
  help: { type: "boolean", short: "h" },
} as const;

function parse(args: readonly string[]): Parsed {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true });
  } catch (error) {
    throw new UsageError(`Cannot run: ${(error as Error).message}`);
  }
}

function numberOf(name: string, text: string): number {
  const value = text.trim() === "" ? NaN : Number(text);
  if (Number.isFinite(value)) return value;
  throw new UsageError(`Cannot run as --${name} must be a number: current value is "${text}"`);
}

function durationOf(name: string, text: string, least: number): number {
  const value = numberOf(name, text);
  if (value >= least && value <= 60_000) return value;
  throw new UsageError(`Cannot run as --${name} must be from ${least} to 60000 ms: current value is "${text}"`);
}

function familyOf(text: string): 4 | 6 {
  if (text === "4" || text === "6") return text === "4" ? 4 : 6;
  throw new UsageError(`Cannot run as --family must be 4 or 6: current value is "${text}"`);
}
