/**
 * Doctor: joins a mesh as one more node, probes its peers and its surroundings, and reports what is wrong.
 *
 * @module
 */

import { networkInterfaces, systemClock } from "../adapters/system.ts";
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
import { absentInterfaces } from "../src/net/interfaces.ts";
import { inOrder } from "../src/observability/diagnosis/finding.ts";
import { checkOptions, type Settings } from "../src/options.ts";
import type { Clock } from "../src/platform/clock.ts";
import { messageOf } from "../src/platform/error_message.ts";
import { UsageError } from "./arguments.ts";
import { listen } from "./listen.ts";
import { isRefused, scan } from "./network_scan.ts";
import { othersOf, scanFindings, scanProbes } from "./network_scan_plan.ts";
import { findingInFlags, flagOf } from "./option_flags.ts";
import { pause } from "./pause.ts";
import { type Phases, phasesOf, type Request } from "./phases.ts";
import { findHolder, type PortHolder } from "./port_holder.ts";
import type { Progress } from "./progress.ts";
import { type UnknownNode, UnknownNodes } from "./unknown_nodes.ts";
import { VERSION } from "./version.ts";
import { Watch } from "./watch.ts";

/** Largest number of silent seeds whose port is checked for refusal. */
const MOST_SEEDS = 8;

const ADVICE_MISSING =
  "Bring up what is missing, give it an address, or correct `interface`. A service that starts before " +
  "its network opens with the option `waitForInterface: true` only.";

/** The report, as `--json` prints it. */
export interface DoctorReport {
  /** Version of this format: from the first release on raised when a field changes its meaning or goes. */
  readonly version: 1;
  /** The version of the package that made the report. */
  readonly packageVersion: string;
  /** When the report was made, by this host's clock: ISO 8601, UTC. */
  readonly time: string;
  /** Whether no finding is an error. */
  readonly ok: boolean;
  readonly findings: readonly Finding[];
  /** Null when no node could be opened. */
  readonly node: NodeDiagnosis | null;
  readonly interfaces: Diagnosis["interfaces"];
  readonly peers: Diagnosis["peers"];
  /** Unknown nodes that were found outside the mesh: the first 64. */
  readonly unknownNodes: readonly UnknownNode[];
  /** How many more of them there are. */
  readonly moreUnknownNodes: number;
}

/** What to examine, and how. */
export interface Examination extends Request {
  readonly options: MeshOptions;
  /** Aborts the examination: the promise rejects with the signal's reason, after the node has left the mesh. */
  readonly signal?: AbortSignal | undefined;
  /** Is told the phases, and then of each phase that begins. */
  readonly progress?: Pick<Progress, "plan" | "at"> | undefined;
}

/** The functions that an examination uses: those of this host, unless a test passes others. */
export interface Means {
  readonly clock: Clock;
  readonly openMesh: typeof openMesh;
  readonly networkInterfaces: () => readonly NetworkInterface[];
  readonly findHolder: typeof findHolder;
  readonly scan: typeof scan;
  readonly isRefused: typeof isRefused;
  readonly listen: typeof listen;
}

const MEANS: Means = { clock: systemClock, openMesh, networkInterfaces, findHolder, scan, isRefused, listen };

/**
 * Examines the mesh with a node that is opened for it and closed again. Takes no longer than {@linkcode phasesOf} says.
 *
 * @throws {UsageError} when the mesh refuses an option
 */
export async function examine(examination: Examination, means: Means = MEANS): Promise<DoctorReport> {
  const { options, progress } = examination;
  const phases = phasesOf(settingsOf(options), examination);
  progress?.plan(phases);
  let holder: PortHolder | undefined;
  let mesh: MeshBus;
  try {
    const { signal } = examination;
    progress?.at("beside");
    holder = await means.findHolder(options, phases.beside, signal);
    progress?.at("open");
    mesh = await openWhatIsThere({ ...holder?.options(options) ?? options, ...signal && { signal } }, means);
  } catch (error) {
    if (error instanceof MeshOpenError) return notOpened(error);
    throw asMisuse(error);
  }
  try {
    return await new Examiner(examination, means, phases, mesh, holder).report();
  } finally {
    progress?.at("leave");
    await mesh.close();
  }
}

/** Opens the node. When one of several interfaces is missing, it is opened on the others. */
async function openWhatIsThere(
  options: MeshOptions,
  { networkInterfaces, openMesh }: Means,
): Promise<MeshBus> {
  try {
    return await openMesh(options);
  } catch (error) {
    const { interface: wanted } = options;
    if (!isMissing(error) || !Array.isArray(wanted)) throw error;
    const missing = absentInterfaces(checkOptions(options), networkInterfaces());
    if (missing.length === wanted.length) throw error;
    return await openMesh({ ...options, waitForInterface: true });
  }
}

/** Whether an interface is absent: errors in using an interface have a cause. */
function isMissing(error: unknown): boolean {
  return error instanceof MeshOpenError && error.option === "interface" && error.cause === undefined;
}

function settingsOf(options: MeshOptions): Settings {
  try {
    return checkOptions(options);
  } catch (error) {
    throw asMisuse(error);
  }
}

function asMisuse(error: unknown): unknown {
  const isMisuse = error instanceof TypeError || error instanceof RangeError;
  return isMisuse ? new UsageError(error.message, { cause: error }) : error;
}

/** Examines the mesh with an open node. */
class Examiner {
  readonly #examination: Examination;
  readonly #means: Means;
  readonly #phases: Phases;
  readonly #mesh: MeshBus;
  readonly #holder: PortHolder | undefined;

  constructor(examination: Examination, means: Means, phases: Phases, mesh: MeshBus, holder: PortHolder | undefined) {
    this.#examination = examination;
    this.#means = means;
    this.#phases = phases;
    this.#mesh = mesh;
    this.#holder = holder;
  }

  async report(): Promise<DoctorReport> {
    const { isScanning, progress, signal } = this.#examination;
    const { clock } = this.#means;
    const { listen, listenOn } = this.#phases;
    const [mesh, holder] = [this.#mesh, this.#holder];
    const watch = new Watch(mesh, clock, signal);
    const start = clock.now();
    const end = start + listenOn;
    progress?.at("listen");
    await watch.quiet(start + listen, end, () => progress?.at("listenOn"));
    let diagnosis = await this.#diagnose();
    // A peer that joined a moment ago may just not have been heard again.
    if (diagnosis.findings.some(({ severity }) => severity !== "info") && clock.now() < end) {
      progress?.at("listenOn");
      await pause(end - clock.now(), signal, clock);
      diagnosis = await this.#diagnose();
    }
    // Peers that are heard but not reached have not joined, and are known all the same.
    for (const { id } of diagnosis.peers) watch.known.add(id);
    const unknownNodes = new UnknownNodes(diagnosis, watch.known);
    progress?.at(isScanning ? "scan" : "seeds");
    const [known] = await Promise.all([
      this.#refine(diagnosis, watch.resolveErrors),
      isScanning ? this.#probeUnknownNodes(diagnosis, unknownNodes) : undefined,
    ]);
    if (isScanning && unknownNodes.list.length === 0 && diagnosis.peers.length === 0) {
      progress?.at("leave");
      await mesh.close();
      await this.#listenForUnknownNodes(diagnosis, unknownNodes);
    }
    signal?.throwIfAborted();
    const { findings: _, ok: __, ...seen } = diagnosis;
    const { list, more } = unknownNodes;
    const outside = scanFindings(diagnosis, list);
    const found = [...holder?.withoutMulticast(outside) ?? outside, ...known, ...holder ? [holder.finding] : []];
    return reportOf(found, { ...seen, unknownNodes: list, moreUnknownNodes: more });
  }

  async #diagnose(): Promise<Diagnosis> {
    const { progress, signal } = this.#examination;
    progress?.at("probe");
    const diagnosis = await this.#mesh.diagnose({ timeout: this.#phases.probe, ...signal && { signal } });
    return this.#holder?.judged(diagnosis) ?? diagnosis;
  }

  async #probeUnknownNodes(diagnosis: Diagnosis, unknownNodes: UnknownNodes): Promise<void> {
    const probes = scanProbes(diagnosis, this.#interfaces());
    await this.#means.scan(probes, this.#phases.scan, (ack) => unknownNodes.acked(ack));
  }

  /** Listens for plain nodes, which send no acks but a heartbeat every `heartbeat`. */
  async #listenForUnknownNodes(diagnosis: Diagnosis, unknownNodes: UnknownNodes): Promise<void> {
    const { progress, signal } = this.#examination;
    const { requested, family, group, port } = diagnosis.node;
    if (family !== 4 || !requested.multicast) return;
    const interfaces = othersOf(diagnosis, this.#interfaces());
    const time = this.#phases.listenElsewhere;
    if (interfaces.length === 0) return;
    progress?.at("listenElsewhere");
    await this.#means.listen({ interfaces, group, port, time, signal, onHeard: (heard) => unknownNodes.heard(heard) });
  }

  #interfaces(): readonly NetworkInterface[] {
    try {
      return this.#means.networkInterfaces();
    } catch {
      // Deno refuses without the permission.
      return [];
    }
  }

  /** The findings of the node, refined by what only the program can find out or advise. */
  async #refine(
    { findings, node, peers }: Diagnosis,
    resolveErrors: ReadonlySet<string>,
  ): Promise<readonly Finding[]> {
    const severity = peers.length === 0 ? "error" : "warning";
    const seeds = node.silentSeeds.slice(0, MOST_SEEDS);
    const results = await Promise.all(seeds.map((seed) => {
      const [, host = "", port = ""] = /^\[?(.*?)\]?:(\d+)$/.exec(seed) ?? [];
      return this.#means.isRefused(host, Number(port), this.#phases.seeds);
    }));
    const refused = seeds.filter((_, i) => results[i]);
    const silent = node.silentSeeds.length > refused.length;
    const found: Finding[] = findings.filter(({ code }) => code !== "seed-unresponsive" || silent);
    if (refused.length > 0) {
      found.push({
        code: "seed-refused",
        severity,
        subject: refused.join(", "),
        message: "The host answers that no process listens at that port (ICMP port unreachable).",
        advice: "Start the node there, or name the `port` of its mesh in the seed.",
      });
    }
    return found.map((finding) => {
      if (finding.code === "no-peers") {
        return { ...finding, advice: aloneAdvice(node, this.#examination.isScanning) };
      }
      if (finding.code === "interface-missing") return { ...finding, severity: "error", advice: ADVICE_MISSING };
      const isExplained = finding.code === "seed-unresolved" && resolveErrors.size > 0;
      return isExplained ? { ...finding, message: [...resolveErrors].join("; ") } : finding;
    });
  }
}

/** Replaces the node's own advice, which is to run this program. */
function aloneAdvice({ port }: NodeDiagnosis, isScanning: boolean): string {
  return "Start another node with the same `port` and `group`. If one is running, use its options here, which --help " +
    `lists; let firewalls at both ends pass UDP to port ${port} and to the ports that the nodes advertise; or ` +
    `name that node as a seed, --peers host:${port}.${
      isScanning ? "" : " Without --no-scan this also probes outside the mesh."
    }`;
}

function notOpened(error: MeshOpenError): DoctorReport {
  const { cause, option, value } = error;
  const advice = isMissing(error)
    ? ADVICE_MISSING
    : "Correct what the message names. If another process of this host has the port for itself, run the doctor with " +
      "another --advertise, or on another host.";
  const subject = `${flagOf(option)}: ${JSON.stringify(value)}`;
  // The rule says what must hold, the cause why it does not.
  const message = cause === undefined ? error.message : `${error.message} (${messageOf(cause)})`;
  const finding: Finding = { code: "open-failed", severity: "error", subject, message, advice };
  return reportOf([finding], { node: null, interfaces: [], peers: [], unknownNodes: [], moreUnknownNodes: 0 });
}

function reportOf(
  findings: readonly Finding[],
  seen: Omit<DoctorReport, "version" | "packageVersion" | "time" | "ok" | "findings">,
): DoctorReport {
  // That no peer was found needs no finding when its cause is known.
  const isExplained = findings.some(({ code, severity }) => severity === "error" && code !== "no-peers");
  const list = inOrder(findings.filter(({ code }) => code !== "no-peers" || !isExplained)).map(findingInFlags);
  const made = { packageVersion: VERSION, time: new Date().toISOString() };
  return { version: 1, ...made, ok: list.every(({ severity }) => severity !== "error"), findings: list, ...seen };
}
