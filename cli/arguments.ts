/**
 * Arguments: parses the command line into a command and its options.
 *
 * @module
 */

import { parseArgs } from "node:util";
import type { MeshOptions } from "../mod.ts";

/** The command to run. */
export type Call =
  | { readonly do: "help" }
  | { readonly do: "version" }
  /** `wait` and `timeout` are in milliseconds; `wait` is absent when it depends on the heartbeat. */
  | {
    readonly do: "doctor";
    readonly options: MeshOptions;
    readonly isJson: boolean;
    readonly isStrict: boolean;
    readonly isScanning: boolean;
    readonly wait: number | undefined;
    readonly timeout: number;
  };

/** The text of `--help`. */
export const USAGE = `Usage: npx @warp-mesh/bus doctor [options]

Joins a mesh as one more node, and says why nodes do not see each other. Give it the options of your nodes. With the
defaults it takes about 7 s when all is well, and 20 s at most.

  --port <number>        port of the mesh                          (7946)
  --group <address>      multicast group                           (239.0.0.1, ff12::5752:1)
  --family <4|6>         IPv4 or IPv6                              (that of the group)
  --interface <name>     name or address, or a list: a,b; "all"    (what the system chooses)
  --peers <host:port>    seeds, or a list: a,b
  --advertise <address>  host:port at which other nodes reach this node
  --heartbeat <ms>       time between heartbeats                   (5000)
  --no-multicast         seeds only
  --no-loopback          multicast is not looped back to this host
  --ttl <number>         TTL of multicast: 1 passes no router      (1)
  --receive-buffer <n>   required size of the receive buffer in bytes
  --wait <ms>            how long to listen for other nodes        (1.2 heartbeats, or 2 when something is wrong)
  --timeout <ms>         how long to wait for acks to probes       (2000)
  --no-scan              do not look for nodes with other options or on other interfaces
  --strict               exit with 1 for warnings, too
  --json                 print JSON
  --version, -v          print the version
  --help, -h             print this

--interface and --peers may be repeated.

Exit code: 0 when all is well or there are warnings, 1 when a finding is an error (with --strict, or a warning),
2 when it was called wrongly, 74 when its output cannot be written, 70 when it fails itself, 128 + n after signal n.
What each finding means: docs/troubleshooting.md
`;

/** Wrong arguments; the message says which, and what they must be. */
export class UsageError extends Error {
  /** `"UsageError"`. */
  override readonly name = "UsageError";
}

/**
 * Parses the arguments. The options of the mesh are validated when it opens.
 *
 * @throws {UsageError} when the arguments are wrong
 */
export function readArguments(args: readonly string[]): Call {
  const { values, positionals } = parse(args);
  if (values.help) return { do: "help" };
  if (values.version) return { do: "version" };
  const [command, ...others] = positionals;
  if (command !== "doctor" || others.length > 0) throw misuse('the command must be "doctor"', positionals.join(" "));
  const { advertise, family, group, heartbeat, port, "receive-buffer": receiveBuffer, ttl } = values;
  const names = listOf("interface", values.interface);
  const peers = listOf("peers", values.peers);
  return {
    do: "doctor",
    options: {
      ...port !== undefined && { port: numberOf("port", port) },
      ...group !== undefined && { group },
      ...family !== undefined && { family: familyOf(family) },
      ...names.length > 0 && { interface: names.length === 1 ? names[0] as string : names },
      ...peers.length > 0 && { peers },
      ...advertise !== undefined && { advertiseAddr: textOf("advertise", advertise) },
      ...heartbeat !== undefined && { heartbeat: numberOf("heartbeat", heartbeat) },
      ...values["no-multicast"] && { multicast: false },
      ...values["no-loopback"] && { multicastLoopback: false },
      ...ttl !== undefined && { multicastTtl: numberOf("ttl", ttl) },
      ...receiveBuffer !== undefined && { receiveBuffer: numberOf("receive-buffer", receiveBuffer) },
    },
    isJson: values.json ?? false,
    isStrict: values.strict ?? false,
    isScanning: !values["no-scan"],
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
  "no-loopback": { type: "boolean" },
  ttl: { type: "string" },
  "receive-buffer": { type: "string" },
  wait: { type: "string" },
  timeout: { type: "string" },
  "no-scan": { type: "boolean" },
  strict: { type: "boolean" },
  json: { type: "boolean" },
  version: { type: "boolean", short: "v" },
  help: { type: "boolean", short: "h" },
} as const;

/** The names of all options. */
export const OPTION_NAMES: readonly string[] = Object.keys(OPTIONS);

/** Checks the arguments first, as the messages of `parseArgs` name no rule, and differ between runtimes. */
function parse(args: readonly string[]): Parsed {
  const { tokens } = parseArgs({
    args: [...args],
    options: OPTIONS,
    allowPositionals: true,
    strict: false,
    tokens: true,
  });
  for (const token of tokens) {
    if (token.kind !== "option") continue;
    const { inlineValue, name, rawName, value } = token;
    if (!Object.hasOwn(OPTIONS, name)) throw misuse("options must be those that --help lists", rawName);
    const { type } = OPTIONS[name as keyof typeof OPTIONS];
    if (type === "boolean" && value !== undefined) throw misuse(`${rawName} must have no value`, value);
    if (type === "string" && value === undefined) throw misuse(`${rawName} must have a value`);
    // It may be the next option, and the value was forgotten.
    if (type === "string" && !inlineValue && value?.startsWith("-")) {
      throw misuse(`${rawName} must have a value, one that begins with "-" as in ${rawName}=-1`, value);
    }
  }
  return parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true });
}

function misuse(rule: string, value?: string): UsageError {
  return new UsageError(`Cannot run as ${rule}: current value is ${value === undefined ? "none" : `"${value}"`}`);
}

/** Refuses an empty text: it is mostly an unset shell variable, and the default would be another network. */
function textOf(name: string, text: string): string {
  if (text.trim() !== "") return text.trim();
  throw misuse(`--${name} must not be empty`, text);
}

function listOf(name: string, lists: readonly string[] = []): readonly string[] {
  return lists.flatMap((list) => list.split(",")).map((text) => textOf(name, text));
}

function numberOf(name: string, text: string): number {
  const value = text.trim() === "" ? NaN : Number(text);
  if (Number.isFinite(value)) return value;
  throw misuse(`--${name} must be a number`, text);
}

function durationOf(name: string, text: string, least: number): number {
  const value = numberOf(name, text);
  if (value >= least && value <= 60_000) return value;
  throw misuse(`--${name} must be from ${least} to 60000 ms`, text);
}

function familyOf(text: string): 4 | 6 {
  if (text === "4" || text === "6") return text === "4" ? 4 : 6;
  throw misuse("--family must be 4 or 6", text);
}
