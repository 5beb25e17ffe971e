/**
 * Joins a mesh, looks around, and says what is wrong.
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
import { isRefused, scout } from "./network_scan.ts";
import { othersOf, questionsOf, scoutFindings } from "./network_scan_plan.ts";
import { findingInFlags, flagOf } from "./option_flags.ts";
import { pause } from "./pause.ts";
import { type Phases, phasesOf, type Request } from "./phases.ts";
import { findHolder, type PortHolder } from "./port_holder.ts";
import type { Progress } from "./progress.ts";
import { type Stranger, Strangers } from "./unknown_nodes.ts";
import { VERSION } from "./version.ts";
import { Watch } from "./watch.ts";

/** Silent seeds that are asked whether nobody listens there. */
const MOST_SEEDS = 8;

const ADVICE_MISSING =
  "Bring up what is missing, give it an address, or correct `interface`. A service that starts before " +
  "its network opens with the option `waitForInterface: true` only.";

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
export interface Examination extends Request {
  readonly options: MeshOptions;
  /** Ends it: the promise rejects with its reason, when the node has left the mesh. */
  readonly signal?: AbortSignal | undefined;
  /** Is told what it takes, and then of each part that begins. */
  readonly progress?: Pick<Progress, "plan" | "at"> | undefined;
}

/** What an examination is made with: those of this host, unless a test has others. */
export interface Means {
  readonly clock: Clock;
  readonly openMesh: typeof openMesh;
  readonly networkInterfaces: () => readonly NetworkInterface[];
  readonly findHolder: typeof findHolder;
  readonly scout: typeof scout;
  readonly isRefused: typeof isRefused;
  readonly listen: typeof listen;
}

const MEANS: Means = { clock: systemClock, openMesh, networkInterfaces, findHolder, scout, isRefused, listen };

/**
 * Opens a node and closes it again. Takes no longer than {@linkcode phasesOf} says.
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

/** Of several interfaces one may be missing: the others are looked at all the same. */
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

/** Whether an interface is not there: what cannot be done with one has a cause. */
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

/** Asks a node that is open, and all around. */
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
    const { isScouting, progress, signal } = this.#examination;
    const { clock } = this.#means;
    const { listen, listenOn } = this.#phases;
    const [mesh, holder] = [this.#mesh, this.#holder];
    const watch = new Watch(mesh, clock, signal);
    const start = clock.now();
    const end = start + listenOn;
    progress?.at("listen");
    await watch.quiet(start + listen, end, () => progress?.at("listenOn"));
    let diagnosis = await this.#diagnose();
    // Who was met a moment ago may only not have been heard again.
    if (diagnosis.findings.some(({ severity }) => severity !== "info") && clock.now() < end) {
      progress?.at("listenOn");
      await pause(end - clock.now(), signal, clock);
      diagnosis = await this.#diagnose();
    }
    // Also those that are heard and not reached, which have not joined.
    for (const { id } of diagnosis.peers) watch.known.add(id);
    const strangers = new Strangers(diagnosis, watch.known);
    progress?.at(isScouting ? "look" : "seeds");
    const [known] = await Promise.all([
      this.#refine(diagnosis, watch.errorReporter),
      isScouting ? this.#askStrangers(diagnosis, strangers) : undefined,
    ]);
    if (isScouting && strangers.list.length === 0 && diagnosis.peers.length === 0) {
      progress?.at("leave");
      await mesh.close();
      await this.#hearStrangers(diagnosis, strangers);
    }
    signal?.throwIfAborted();
    const { findings: _, ok: __, ...seen } = diagnosis;
    const { list, more } = strangers;
    const outside = scoutFindings(diagnosis, list);
    const found = [...holder?.withoutMulticast(outside) ?? outside, ...known, ...holder ? [holder.finding] : []];
    return reportOf(found, { ...seen, strangers: list, moreStrangers: more });
  }

  async #diagnose(): Promise<Diagnosis> {
    const { progress, signal } = this.#examination;
    progress?.at("ask");
    const diagnosis = await this.#mesh.diagnose({ timeout: this.#phases.ask, ...signal && { signal } });
    return this.#holder?.judged(diagnosis) ?? diagnosis;
  }

  async #askStrangers(diagnosis: Diagnosis, strangers: Strangers): Promise<void> {
    const questions = questionsOf(diagnosis, this.#interfaces());
    await this.#means.scout(questions, this.#phases.look, (answer) => strangers.answered(answer));
  }

  /** Those that answer nothing say every `heartbeat` that they are there. */
  async #hearStrangers(diagnosis: Diagnosis, strangers: Strangers): Promise<void> {
    const { progress, signal } = this.#examination;
    const { requested: asked, family, group, port } = diagnosis.node;
    if (family !== 4 || !asked.multicast) return;
    const interfaces = othersOf(diagnosis, this.#interfaces());
    const time = this.#phases.listenElsewhere;
    if (interfaces.length === 0) return;
    progress?.at("listenElsewhere");
    await this.#means.listen({ interfaces, group, port, time, signal, onHeard: (heard) => strangers.heard(heard) });
  }

  #interfaces(): readonly NetworkInterface[] {
    try {
      return this.#means.networkInterfaces();
    } catch {
      // Deno without the permission.
      return [];
    }
  }

  /** The findings of the node, with what only the program can know or do. */
  async #refine(
    { findings, node, peers }: Diagnosis,
    errorReporter: ReadonlySet<string>,
  ): Promise<readonly Finding[]> {
    const severity = peers.length === 0 ? "error" : "warning";
    const seeds = node.silentSeeds.slice(0, MOST_SEEDS);
    const results = await Promise.all(seeds.map((seed) => {
      const [, host = "", port = ""] = /^\[?(.*?)\]?:(\d+)$/.exec(seed) ?? [];
      return this.#means.isRefused(host, Number(port), this.#phases.seeds);
    }));
    const refused = seeds.filter((_, i) => results[i]);
    const silent = node.silentSeeds.length > refused.length;
    const found: Finding[] = findings.filter(({ code }) => code !== "seed-silent" || silent);
    if (refused.length > 0) {
      found.push({
        code: "seed-refused",
        severity,
        subject: refused.join(", "),
        message: "The host is there, and says that nobody listens at that port.",
        advice: "Start the node there, or name the `port` of its mesh.",
      });
    }
    return found.map((finding) => {
      if (finding.code === "nobody-there") {
        return { ...finding, advice: adviceAlone(node, this.#examination.isScouting) };
      }
      if (finding.code === "interface-missing") return { ...finding, severity: "error", advice: ADVICE_MISSING };
      const isExplained = finding.code === "seed-unresolved" && errorReporter.size > 0;
      return isExplained ? { ...finding, message: [...errorReporter].join("; ") } : finding;
    });
  }
}

/** The node's own advice is to run this program. */
function adviceAlone({ port }: NodeDiagnosis, isScouting: boolean): string {
  return "Start another node with the same `port` and `group`. If one is running, use its options here, which --help " +
    `lists; let firewalls at both ends pass UDP to port ${port} and to the ports that the nodes advertise; or ` +
    `name that node as a seed, --peers host:${port}.${isScouting ? "" : " Without --no-scout this looks further."}`;
}

function notOpened(error: MeshOpenError): DoctorReport {
  const { cause, option, value } = error;
  const advice = isMissing(error)
    ? ADVICE_MISSING
    : "Give what the message asks for. Where another process of this host has the port for itself, run the doctor " +
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
