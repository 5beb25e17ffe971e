/**
 * A program: nodes of one or more meshes, controlled by lines of JSON on standard input. `host_process.ts` is its other
 * side, and `mesh_process.ts` for a single node. It closes them and ends when its input ends, so it does not outlive
 * its test.
 *
 * @module
 */

import process from "node:process";
import { setTimeout } from "node:timers";
import {
  type Acknowledgement,
  type MeshBus,
  type MeshEvent,
  type MeshOptions,
  openMesh,
  QuorumNotSatisfiedError,
  type Topic,
} from "../../mod.ts";
import { now, obey, print, type ProgramLine } from "./obey.ts";

/** The calls of a node. */
export type HostCall =
  & { readonly node: number }
  & (
    | { readonly do: "open"; readonly options: MeshOptions }
    | { readonly do: "publish"; readonly keys: readonly string[] }
    /** Publishes and awaits it. Answers with the outcomes by node id, or with the error's fields. */
    | {
      readonly do: "await";
      readonly topic: Topic;
      readonly replicas?: number | "all";
      readonly zones?: number;
      readonly timeout?: number;
      /** Counts as text, as JSON has no integers of 64 bits. */
      readonly clock?: Readonly<Record<string, string>>;
      readonly goKeys?: readonly string[];
    }
    /** Subscribes with a callback whose promise takes so many milliseconds, and is waited for. */
    | { readonly do: "settle"; readonly topic: Topic; readonly ms: number }
    | { readonly do: "token"; readonly earlier?: string }
    | { readonly do: "reached"; readonly token: string; readonly timeout: number }
    /** Answers with all that has been received: keys, and prefixes with a `*` after them. */
    | { readonly do: "received" }
    | { readonly do: "peers" | "metrics" | "close" }
  );

/** The answer to `await`. */
export interface AwaitAnswer {
  /** The outcomes by node id, those before an error included. */
  readonly outcomes: Readonly<Record<string, string>>;
  /** Of an error: its name, and why each node is missing. */
  readonly error?: string;
  readonly missing?: Readonly<Record<string, string>>;
}

/** The answer to `open`. */
export interface OpenedNode {
  readonly nodeId: string;
  readonly address: string;
  readonly port: number;
}

/** The lines that are printed: answers, and what a node has received. */
export interface HostLine extends ProgramLine {
  readonly node?: number;
  readonly event?: MeshEvent;
  readonly key?: string;
  readonly cause?: string;
  readonly prefix?: string;
  /** Counts as text. */
  readonly clock?: Readonly<Record<string, string>>;
}

// Something has kept the process alive after the close: the exit code shows it.
const STUCK_AFTER_MS = 15_000;
const STUCK = 70;

const meshes = new Map<number, MeshBus>();
const received: string[] = [];

async function open(node: number, options: MeshOptions): Promise<OpenedNode> {
  const mesh = await openMesh(options);
  meshes.set(node, mesh);
  mesh.events.listen((event) => print({ node, at: now(), event }));
  mesh.subscribe({ prefix: "" }, ({ key, cause, prefix, vectorClock }) => {
    received.push(prefix === undefined ? key : `${prefix}*`);
    const clock = vectorClock && Object.fromEntries(Object.entries(vectorClock).map(([name, n]) => [name, String(n)]));
    print({ node, at: now(), key, cause, prefix, clock });
  });
  return { nodeId: mesh.nodeId, address: mesh.address, port: mesh.port };
}

async function publishAndAwait(
  mesh: MeshBus,
  { topic, replicas = "all", zones, timeout, clock, goKeys }: Extract<HostCall, { readonly do: "await" }>,
): Promise<AwaitAnswer> {
  const vectorClock = clock && Object.fromEntries(Object.entries(clock).map(([name, text]) => [name, BigInt(text)]));
  const options = { ...timeout !== undefined && { timeout }, ...vectorClock && { vectorClock }, goKeys };
  try {
    const { acknowledgements } = zones === undefined
      ? await mesh.publishAndAwait(topic, replicas, options)
      : await mesh.publishAndAwaitTopology(topic, zones, options);
    return { outcomes: outcomesOf(acknowledgements) };
  } catch (error) {
    if (!(error instanceof QuorumNotSatisfiedError)) return { outcomes: {}, error: (error as Error).name };
    const missing = Object.fromEntries(error.missing.map(({ node, reason }) => [node, reason]));
    return { outcomes: outcomesOf(error.acknowledgements), error: error.name, missing };
  }
}

function outcomesOf(acknowledgements: readonly Acknowledgement[]): Record<string, string> {
  return Object.fromEntries(acknowledgements.map(({ node, outcome }) => [node, outcome]));
}

async function answer(call: HostCall): Promise<unknown> {
  const mesh = meshes.get(call.node);
  switch (call.do) {
    case "open":
      return await open(call.node, call.options);
    case "publish":
      return await Promise.all(call.keys.map((key) => mesh?.publish(key)));
    case "await":
      return mesh && await publishAndAwait(mesh, call);
    case "settle":
      mesh?.subscribe(call.topic, () => new Promise((resolve) => setTimeout(resolve, call.ms)), {
        deliveredWhen: "settled",
      });
      return;
    case "token":
      return mesh?.token(call.earlier);
    case "reached":
      return await mesh?.reached(call.token, { timeout: call.timeout });
    case "received":
      return received;
    case "peers":
      return mesh?.peers();
    case "metrics":
      return mesh?.metrics();
    case "close":
      return await mesh?.close();
  }
}

obey(answer, () => {
  for (const mesh of meshes.values()) void mesh.close();
  setTimeout(() => process.exit(STUCK), STUCK_AFTER_MS).unref();
});
