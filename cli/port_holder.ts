/**
 * A node of this host that has its only port where the mesh has its own. Whoever binds that port as well takes what is sent
 * to it, as the system gives that to the newest socket: the program stays beside such a node.
 *
 * @module
 */

import { networkInterfaces } from "../adapters/system.ts";
import type { Diagnosis, Finding, FindingCode, MeshOptions, NetworkInterface } from "../mod.ts";
import { MAX_SEED_ADDRESSES } from "../src/discovery/seed_addresses.ts";
import { linksOf, listed, UNSPECIFIED } from "../src/net/interfaces.ts";
import { findings } from "../src/observability/diagnosis/findings.ts";
import { checkOptions, type Settings } from "../src/options.ts";
import { onAbort } from "../src/platform/abort_signal.ts";
import { formatAddress } from "../src/platform/endpoint.ts";
import { type Answer, type Question, scout } from "./network_scan.ts";

/** Interfaces at which it is asked: a node answers 16 such questions a second, and the doctor has more of them. */
const MOST_ASKED = 3;
/** What concerns the address that the program has here, and no node. */
const OF_ADDRESS: ReadonlySet<FindingCode> = new Set(["advertised-unreachable", "unicast-in-closed"] as const);
/** What follows from not using multicast here. */
const OF_MULTICAST: ReadonlySet<FindingCode> = new Set(["multicast-off", "multicast-blocked"] as const);

/**
 * The node that holds the port of the mesh for itself, if there is one. A node with a port of its own answers from there.
 * Its answer is waited for, for `time` milliseconds.
 *
 * @throws {TypeError | RangeError} when the options are wrong
 */
export async function findHolder(
  options: MeshOptions,
  time: number,
  signal: AbortSignal | undefined,
): Promise<PortHolder | undefined> {
  const settings = checkOptions(options);
  const { port } = settings;
  if (port === 0) return undefined;
  const questions = questionsTo(settings);
  const answers = new Map<string, Answer>();
  const controller = new AbortController();
  const end = () => controller.abort();
  const detach = signal && onAbort(signal, end);
  await scout(questions, time, (answer) => {
    answers.set(answer.question.host, answer);
    if (answers.size === questions.length) end();
  }, controller.signal);
  detach?.();
  // One of another mesh has it as its own, which nobody can bind as well.
  const holders = [...answers.values()].filter((answer) => answer.port === port && answer.report.port === port);
  // Where the others reach it, rather than on the loopback interface.
  const holder = holders.find(({ question }) => question.from !== questions[0]?.from) ?? holders[0];
  return holder === undefined ? undefined : new PortHolder(settings, holder);
}

/** Such a node, and how the mesh is examined beside it. */
export class PortHolder {
  /** Of the node, `host:port`. */
  readonly address: string;
  readonly #settings: Settings;
  readonly #isOfGroup: boolean;

  /** The settings that were asked for, and what the node has answered. */
  constructor(settings: Settings, { question: { host, port }, report: { group } }: Answer) {
    this.address = formatAddress(host, port);
    this.#settings = settings;
    this.#isOfGroup = group === settings.group;
  }

  /** What to open instead. One of another group is no seed: two meshes would grow together. */
  options({ advertiseAddr: _, ...options }: MeshOptions): MeshOptions {
    const { port, seeds } = this.#settings;
    const texts = seeds.map((seed) => seed.kind === "srv" ? seed.text : formatAddress(seed.host, seed.port || port));
    const all = new Set([...this.#isOfGroup ? [this.address] : [], ...texts]);
    return { ...options, port: 0, multicast: false, peers: [...all].slice(0, MAX_SEED_ADDRESSES) };
  }

  /** What was seen, judged by the port that was asked for: the one that was taken instead is nobody's business. */
  judged({ node, interfaces, peers }: Diagnosis): Diagnosis {
    const seen = { node: { ...node, port: this.#settings.port }, interfaces, peers };
    const found = findings(seen).filter(({ code }) => !OF_ADDRESS.has(code));
    return { ...seen, ok: found.every(({ severity }) => severity !== "error"), findings: found };
  }

  /** Without what would be different if multicast were used, when that was asked for. */
  withoutMulticast(found: readonly Finding[]): readonly Finding[] {
    return this.#settings.multicast ? found.filter(({ code }) => !OF_MULTICAST.has(code)) : found;
  }

  /** What the user is told of it. */
  get finding(): Finding {
    const { advertise, multicast, port } = this.#settings;
    const left = [...multicast ? ["multicast"] : [], ...advertise === undefined ? [] : ["the address of --advertise"]];
    const entrance = this.#isOfGroup ? "that node as a seed" : "the given seeds only";
    return {
      code: "port-shared",
      severity: "info",
      subject: this.address,
      message:
        `A node on this host has no port but ${port}, and would hear nothing while the doctor listened there: the ` +
        `doctor has joined by another port, with ${entrance}.` +
        (left.length === 0 ? "" : ` Not looked at: ${left.join(", ")}.`),
      advice:
        "Run the doctor on a host without a node to see everything; or ask that node itself, by `mesh.diagnose()`.",
    };
  }
}

/** Only this host itself gets these: at its loopback address, and at those that the mesh would use. */
function questionsTo(settings: Settings): readonly Question[] {
  const { family, port } = settings;
  const loopback: NetworkInterface = {
    name: "lo",
    address: family === 4 ? "127.0.0.1" : "::1",
    internal: true,
    netmask: "",
  };
  const links = linksOf(settings, listed(networkInterfaces)).flatMap(({ name = "?", address }) =>
    address === UNSPECIFIED[family] || address === loopback.address
      ? []
      : [{ name, address, internal: false, netmask: "" }]
  );
  return [loopback, ...links.slice(0, MOST_ASKED)].map((from) => ({ by: "unicast", from, host: from.address, port }));
}
