/**
 * Joins a mesh, looks around, and says what is wrong.
 *
 * @module
 */

import { networkInterfaces } from "../adapters/system.ts";
import { now } from "../adapters/time.ts";
import {
  type Diagnosis,
  type Finding,
  type MeshBus,
  MeshOpenError,
  type MeshOptions,
  type NetworkInterface,
  type NodeDiagnosis,
  openMesh,
} from "../mod.ts";
import { messageOf } from "../src/cause.ts";
import { inOrder } from "../src/finding.ts";
import { UsageError } from "./arguments.ts";
import { listen } from "./listen.ts";
import { pause } from "./pause.ts";
import { findHolder, type PortHolder } from "./port_holder.ts";
import { isRefused, scout } from "./scout.ts";
import { othersOf, questionsOf, scoutFindings } from "./scout_plan.ts";
import { type Stranger, Strangers } from "./strangers.ts";
import { VERSION } from "./version.ts";
import { findingInFlags, flagOf } from "./words.ts";

/** Shortest and longest wait for others, in milliseconds, unless told otherwise; and that for two heartbeats. */
const WAIT = { min: 1000, max: 60_000, heartbeats: 30_000 };
/** Time without a newcomer after which none is waited for, in milliseconds. */
const QUIET = 500;
/** How long answers from elsewhere are waited for, in milliseconds. */
const SCOUT_TIME = 700;
/** Heartbeats after which one was heard of each node: of Go's, which answer nothing, this is all. */
const HEARD_AFTER = 1.2;
/** Silent seeds that are asked whether nobody listens there. */
const MOST_SEEDS = 8;
/** Failed look-ups that are told of. */
const MOST_FAILURES = 8;

/** What the program prints as JSON. */
export interface DoctorReport {
  /** Counts up when something in here is not what it was any more. */
  readonly version: 1;
  /** The version of the package that has made it. */
  readonly packageVersion: string;
  /** When it was made, as this host's clock says: ISO 8601, UTC. */
  readonly time: string;
  /** Whether no finding is an error. */
  readonly ok: boolean;
  readonly findings: readonly Finding[];
  /** Null when no node could be opened. */
  readonly node: NodeDiagnosis | null;
  readonly interfaces: Diagnosis["interfaces"];
  readonly peers: Diagnosis["peers"];
  /** Nodes that have answered and are none of the mesh's: the first 64. */
  readonly strangers: readonly Stranger[];
  /** How many there are besides. */
  readonly moreStrangers: number;
}

/** How to examine. */
export interface Examination {
  readonly options: MeshOptions;
  readonly isScouting: boolean;
  /** Longest wait for others, in milliseconds. When it is absent, 1.2 heartbeats, and two when something is wrong. */
  readonly wait: number | undefined;
  /** Longest wait for answers, in milliseconds. */
  readonly timeout: number;
  /** Ends it: the promise rejects with its reason, when the node has left the mesh. */
  readonly signal?: AbortSignal | undefined;
  /** Called when the node is open, with how long it listens, in milliseconds: when all is well, and when it is not. */
  readonly onListening?: (least: number, longest: number) => void;
}

/**
 * Opens a node and closes it again.
 *
 * @throws {UsageError} when the mesh refuses an option
 */
export async function examine(examination: Examination): Promise<DoctorReport> {
  const { options, isScouting, wait, timeout, signal, onListening } = examination;
  let holder: PortHolder | undefined;
  let mesh: MeshBus;
  try {
    holder = await findHolder(options, signal);
    mesh = await openMesh({ ...holder?.options(options) ?? options, ...signal && { signal } });
  } catch (error) {
    if (error instanceof MeshOpenError) return notOpened(error);
    const isMisuse = error instanceof TypeError || error instanceof RangeError;
    throw isMisuse ? new UsageError(error.message, { cause: error }) : error;
  }
  try {
    const watch = new Watch(mesh, signal);
    const diagnose = async () => {
      const diagnosis = await mesh.diagnose({ timeout, ...signal && { signal } });
      return holder?.judged(diagnosis) ?? diagnosis;
    };
    const { least, longest } = waitOf(options.heartbeat ?? 5000, wait);
    const start = now();
    const end = start + longest;
    onListening?.(least, longest);
    await watch.quiet(start + least, end);
    let diagnosis = await diagnose();
    // Who was met a moment ago may only not have been heard again.
    if (diagnosis.findings.some(({ severity }) => severity !== "info") && now() < end) {
      await pause(end - now(), signal);
      diagnosis = await diagnose();
    }
    // Also those that are heard and not reached, which have not joined.
    for (const { id } of diagnosis.peers) watch.known.add(id);
    const strangers = new Strangers(diagnosis, watch.known);
    const [known] = await Promise.all([
      refine(diagnosis, watch, { timeout, isScouting }),
      isScouting ? askStrangers(diagnosis, strangers) : undefined,
    ]);
    if (isScouting && strangers.list.length === 0 && diagnosis.peers.length === 0) {
      await mesh.close();
      await hearStrangers(diagnosis, strangers, signal);
    }
    signal?.throwIfAborted();
    const { findings: _, ok: __, ...seen } = diagnosis;
    const { list, more } = strangers;
    const outside = scoutFindings(diagnosis, list);
    const found = [...holder?.withoutMulticast(outside) ?? outside, ...known, ...holder ? [holder.finding] : []];
    return reportOf(found, { ...seen, strangers: list, moreStrangers: more });
  } finally {
    await mesh.close();
  }
}

/** The wait for others when somebody is there, and when nobody is or something is wrong; in milliseconds. */
export function waitOf(
  heartbeat: number,
  wait: number | undefined,
): { readonly least: number; readonly longest: number } {
  const all = HEARD_AFTER * heartbeat;
  const usual = Math.max(WAIT.min, all, Math.min(WAIT.heartbeats, 2 * heartbeat));
  const longest = wait ?? Math.min(WAIT.max, usual);
  return { least: Math.min(all, longest), longest };
}

/** What has happened to a node. */
class Watch {
  /** Ids of all nodes that it has known. */
  readonly known = new Set<string>();
  /** Why names could not be looked up. */
  readonly failures = new Set<string>();
  readonly #signal: AbortSignal | undefined;
  #changedAt = now();

  constructor(mesh: MeshBus, signal: AbortSignal | undefined) {
    this.#signal = signal;
    this.known.add(mesh.nodeId);
    mesh.events.listen((event) => {
      if (event.type === "peerJoined") this.known.add(event.peer.id);
      if (event.type === "peerJoined" || event.type === "peerLeft") this.#changedAt = now();
      const isFailure = event.type === "error" && event.stage === "resolve" && this.failures.size < MOST_FAILURES;
      if (isFailure) this.failures.add(event.error.message);
    });
  }

  /** Resolves after `start` when there is somebody, and nobody has come for a while; at `end` in any case. */
  async quiet(start: number, end: number): Promise<void> {
    for (let time = now(); time < end && !this.#signal?.aborted; time = now()) {
      const left = this.known.size > 1 ? Math.max(start, this.#changedAt + QUIET) - time : QUIET;
      if (left <= 0) return;
      await pause(Math.min(left, end - time), this.#signal);
    }
  }
}

async function askStrangers(diagnosis: Diagnosis, strangers: Strangers): Promise<void> {
  await scout(questionsOf(diagnosis, interfacesOfHost()), SCOUT_TIME, (answer) => strangers.answered(answer));
}

/** Those that answer nothing say every `heartbeat` that they are there. */
async function hearStrangers(
  diagnosis: Diagnosis,
  strangers: Strangers,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { asked, family, group, heartbeat, port } = diagnosis.node;
  if (family !== 4 || !asked.multicast) return;
  const interfaces = othersOf(diagnosis, interfacesOfHost());
  const time = Math.min(WAIT.max, HEARD_AFTER * heartbeat);
  await listen({ interfaces, group, port, time, signal, onHeard: (heard) => strangers.heard(heard) });
}

function interfacesOfHost(): readonly NetworkInterface[] {
  try {
    return networkInterfaces();
  } catch {
    // Deno without the permission.
    return [];
  }
}

/** The findings of the node, with what only the program can know or do. */
async function refine(
  { findings, node, peers }: Diagnosis,
  watch: Watch,
  { timeout, isScouting }: Pick<Examination, "timeout" | "isScouting">,
): Promise<readonly Finding[]> {
  const severity = peers.length === 0 ? "error" : "warning";
  const seeds = node.silentSeeds.slice(0, MOST_SEEDS);
  const results = await Promise.all(seeds.map((seed) => {
    const [, host = "", port = ""] = /^\[?(.*?)\]?:(\d+)$/.exec(seed) ?? [];
    return isRefused(host, Number(port), Math.min(timeout, SCOUT_TIME));
  }));
  const refused = seeds.filter((_, i) => results[i]);
  const silent = node.silentSeeds.length > refused.length;
  const found: Finding[] = findings.filter(({ code }) => code !== "seed-silent" || silent);
  if (refused.length > 0) {
    found.push({
      code: "seed-refused",
      severity,
      subject: refused.join(", "),
      message: "The host is there, and says that nobody listens at this port.",
      advice: "Start the node there, or name the `port` of its mesh.",
    });
  }
  return found.map((finding) => {
    if (finding.code === "nobody-there") return { ...finding, advice: adviceAlone(node, isScouting) };
    const isExplained = finding.code === "seed-unresolved" && watch.failures.size > 0;
    return isExplained ? { ...finding, message: [...watch.failures].join("; ") } : finding;
  });
}

/** The node's own advice is to run this program. */
function adviceAlone({ port }: NodeDiagnosis, isScouting: boolean): string {
  return "Start another node with the same `port` and `group`. If one runs, give this its options, which --help lists; " +
    `let firewalls at both ends pass UDP to port ${port} and to the ports that the nodes advertise; or name that node ` +
    `as a seed, --peers host:${port}.${isScouting ? "" : " Without --no-scout this looks further."}`;
}

function notOpened(error: MeshOpenError): DoctorReport {
  const { cause, option, value } = error;
  const advice =
    "Give what the message asks for. Where another process of this host has the port for itself, run this " +
    "with another --advertise, or on another host.";
  const subject = `${flagOf(option)}: ${JSON.stringify(value)}`;
  // The rule says what must hold, the cause why it does not.
  const message = cause === undefined ? error.message : `${error.message} (${messageOf(cause)})`;
  const finding: Finding = { code: "cannot-open", severity: "error", subject, message, advice };
  return reportOf([finding], { node: null, interfaces: [], peers: [], strangers: [], moreStrangers: 0 });
}

function reportOf(
  findings: readonly Finding[],
  seen: Omit<DoctorReport, "version" | "packageVersion" | "time" | "ok" | "findings">,
): DoctorReport {
  // That nobody is there is no cause where another is known.
  const isExplained = findings.some(({ code, severity }) => severity === "error" && code !== "nobody-there");
  const list = inOrder(findings.filter(({ code }) => code !== "nobody-there" || !isExplained)).map(findingInFlags);
  const made = { packageVersion: VERSION, time: new Date().toISOString() };
  return { version: 1, ...made, ok: list.every(({ severity }) => severity !== "error"), findings: list, ...seen };
}
