/**
 * Joins a mesh, looks around, and says what is wrong.
 *
 * @module
 */

import { networkInterfaces } from "../adapters/system.ts";
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
import { inOrder } from "../src/finding.ts";
import { listen } from "./listen.ts";
import { pause } from "./pause.ts";
import { isRefused, scout } from "./scout.ts";
import { heardStrangers, othersOf, questionsOf, scoutFindings, type Stranger, strangersOf } from "./scout_plan.ts";

/** Shortest and longest wait for others, in milliseconds, unless told otherwise. */
const WAIT = { min: 1000, max: 30_000 };
/** Shortest time without a newcomer after which none is waited for, in milliseconds. */
const QUIET = 500;
/** How long answers from elsewhere are waited for, in milliseconds. */
const SCOUT_TIME = 700;
/** Heartbeats after which one was heard of each node. */
const HEARD_AFTER = 1.2;
/** Silent seeds that are asked whether nobody listens there. */
const MOST_SEEDS = 8;
/** Failed look-ups that are told of. */
const MOST_FAILURES = 8;

/** What the program prints as JSON. */
export interface DoctorReport {
  /** Counts up when something in here is not what it was any more. */
  readonly version: 1;
  /** Whether no finding is an error. */
  readonly ok: boolean;
  readonly findings: readonly Finding[];
  /** Null when no node could be opened. */
  readonly node: NodeDiagnosis | null;
  readonly interfaces: Diagnosis["interfaces"];
  readonly peers: Diagnosis["peers"];
  /** Nodes that have answered and are none of the mesh's. */
  readonly strangers: readonly Stranger[];
}

/** How to examine. */
export interface Examination {
  readonly options: MeshOptions;
  readonly isScouting: boolean;
  /** Longest wait for others, in milliseconds. Two heartbeats when it is absent. */
  readonly wait: number | undefined;
  /** Longest wait for answers, in milliseconds. */
  readonly timeout: number;
  /** Ends it: the promise rejects with its reason, when the node has left the mesh. */
  readonly signal?: AbortSignal;
}

/**
 * Opens a node and closes it again.
 *
 * @throws {TypeError | RangeError} when an option is out of range
 */
export async function examine({ options, isScouting, wait, timeout, signal }: Examination): Promise<DoctorReport> {
  let mesh: MeshBus;
  try {
    mesh = await openMesh({ ...options, ...signal && { signal } });
  } catch (error) {
    if (error instanceof MeshOpenError) return notOpened(error);
    throw error;
  }
  try {
    const watch = new Watch(mesh, signal);
    const asking = { timeout, ...signal && { signal } };
    const heartbeat = options.heartbeat ?? 5000;
    const longest = wait ?? Math.min(WAIT.max, Math.max(WAIT.min, 2 * heartbeat));
    const end = performance.now() + longest;
    await watch.quiet(Math.min(longest, Math.max(QUIET, heartbeat / 2)), end);
    let diagnosis = await mesh.diagnose(asking);
    // Who was met a moment ago may only not have been heard again.
    if (diagnosis.findings.some(({ severity }) => severity !== "info") && performance.now() < end) {
      await pause(end - performance.now(), signal);
      diagnosis = await mesh.diagnose(asking);
    }
    const seeds = await seedFindings(diagnosis, watch, timeout);
    const strangers = isScouting ? await findStrangers(diagnosis, watch) : [];
    if (isScouting && strangers.length === 0 && diagnosis.peers.length === 0) {
      await mesh.close();
      strangers.push(...await hearStrangers(diagnosis, signal));
    }
    signal?.throwIfAborted();
    const { findings: _, ok: __, ...seen } = diagnosis;
    return reportOf([...scoutFindings(diagnosis, strangers), ...seeds], { ...seen, strangers });
  } finally {
    await mesh.close();
  }
}

/** What has happened to a node. */
class Watch {
  /** Ids of all nodes that it has known. */
  readonly known = new Set<string>();
  /** Why names could not be looked up. */
  readonly failures = new Set<string>();
  readonly #signal: AbortSignal | undefined;
  #changedAt = performance.now();

  constructor(mesh: MeshBus, signal: AbortSignal | undefined) {
    this.#signal = signal;
    this.known.add(mesh.nodeId);
    mesh.events.listen((event) => {
      if (event.type === "peerJoined") this.known.add(event.peer.id);
      if (event.type === "peerJoined" || event.type === "peerLeft") this.#changedAt = performance.now();
      const isFailure = event.type === "error" && event.stage === "resolve" && this.failures.size < MOST_FAILURES;
      if (isFailure) this.failures.add(event.error.message);
    });
  }

  /** Resolves when there is somebody, and nobody has come for so long; at `end` in any case. */
  async quiet(time: number, end: number): Promise<void> {
    for (let now = performance.now(); now < end && !this.#signal?.aborted; now = performance.now()) {
      const left = this.known.size > 1 ? this.#changedAt + time - now : time;
      if (left <= 0) return;
      await pause(Math.min(left, end - now), this.#signal);
    }
  }
}

async function findStrangers(diagnosis: Diagnosis, { known }: Watch): Promise<Stranger[]> {
  const answers = await scout(questionsOf(diagnosis, interfacesOfHost()), SCOUT_TIME);
  return strangersOf(answers, diagnosis, known);
}

/** Those that answer nothing say every `heartbeat` that they are there. */
async function hearStrangers(diagnosis: Diagnosis, signal: AbortSignal | undefined): Promise<readonly Stranger[]> {
  const { asked, family, group, heartbeat, port } = diagnosis.node;
  if (family !== 4 || !asked.multicast) return [];
  const interfaces = othersOf(diagnosis, interfacesOfHost());
  const heard = await listen({ interfaces, group, port, time: Math.min(WAIT.max, HEARD_AFTER * heartbeat), signal });
  return heardStrangers(heard, diagnosis);
}

function interfacesOfHost(): readonly NetworkInterface[] {
  try {
    return networkInterfaces();
  } catch {
    // Deno without the permission.
    return [];
  }
}

/** Of silent seeds, more than the node can know. */
async function seedFindings(
  { findings, node, peers }: Diagnosis,
  watch: Watch,
  time: number,
): Promise<readonly Finding[]> {
  const severity = peers.length === 0 ? "error" : "warning";
  const seeds = node.silentSeeds.slice(0, MOST_SEEDS);
  const results = await Promise.all(seeds.map((seed) => {
    const [, host = "", port = ""] = /^\[?(.*?)\]?:(\d+)$/.exec(seed) ?? [];
    return isRefused(host, Number(port), Math.min(time, SCOUT_TIME));
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
  return found.map((finding) =>
    finding.code === "seed-unresolved" && watch.failures.size > 0
      ? { ...finding, message: [...watch.failures].join("; ") }
      : finding
  );
}

function notOpened(error: MeshOpenError): DoctorReport {
  const { message, option, value } = error;
  const advice =
    "Give what the message asks for. Where another process of this host has the port for itself, run this " +
    "with another --advertise, or on another host.";
  const subject = `${option}: ${JSON.stringify(value)}`;
  const finding: Finding = { code: "cannot-open", severity: "error", subject, message, advice };
  return reportOf([finding], { node: null, interfaces: [], peers: [], strangers: [] });
}

function reportOf(
  findings: readonly Finding[],
  seen: Pick<DoctorReport, "node" | "interfaces" | "peers" | "strangers">,
): DoctorReport {
  // That nobody is there is no cause where another is known.
  const isExplained = findings.some(({ code, severity }) => severity === "error" && code !== "nobody-there");
  const list = inOrder(findings.filter(({ code }) => code !== "nobody-there" || !isExplained));
  return { version: 1, ok: list.every(({ severity }) => severity !== "error"), findings: list, ...seen };
}
