/**
 * Nodes of one or more meshes in processes of their own: `host_node.ts` is the program.
 *
 * @module
 */

import type { MeshEvent, MeshMetrics, MeshOptions } from "../../mod.ts";
import { CalledProcess, type Timed, withCalledProcesses } from "./called_process.ts";
import type { HostCall, HostLine, OpenedNode } from "./host_node.ts";
import type { ProgramOptions, Runtime } from "./programs.ts";

export { now } from "./obey.ts";

type NodeLine = HostLine & { readonly at: number };

/** A process that runs `host_node.ts`. */
export class HostProcess extends CalledProcess<HostCall, HostLine> {
  #nodes = 0;

  /** Opens a node as `options` describe: without an interface, it must be in a namespace that nothing leaves. */
  async open(options: MeshOptions = {}): Promise<HostNode> {
    const node = this.#nodes++;
    const { value } = await this.call({ node, do: "open", options });
    return new HostNode(this, node, value as OpenedNode);
  }
}

/** A node of such a process. */
export class HostNode {
  readonly process: HostProcess;
  readonly nodeId: string;
  /** The address that it advertised when it was opened. */
  readonly address: string;
  readonly port: number;
  readonly #number: number;

  constructor(process: HostProcess, number: number, { nodeId, address, port }: OpenedNode) {
    this.process = process;
    this.#number = number;
    this.nodeId = nodeId;
    this.address = address;
    this.port = port;
  }

  /** Its runtime and address, for messages. */
  get name(): string {
    return `${this.process.runtime} ${this.address}`;
  }

  /** Publishes keys. Resolves when all are accepted, with the time of the call. */
  async publish(...keys: string[]): Promise<number> {
    return (await this.process.call({ node: this.#number, do: "publish", keys })).at;
  }

  /** Addresses of its peers, sorted. */
  async peers(): Promise<readonly string[]> {
    const { value } = await this.process.call({ node: this.#number, do: "peers" });
    return [...value as readonly string[]].sort();
  }

  async metrics(): Promise<MeshMetrics> {
    return (await this.process.call({ node: this.#number, do: "metrics" })).value as MeshMetrics;
  }

  /** Closes it. Resolves with the time of the call. */
  async close(): Promise<number> {
    return (await this.process.call({ node: this.#number, do: "close" })).at;
  }

  /** Resolves with the first event, since it was opened, for which `test` holds. */
  async happened(test: (event: MeshEvent) => boolean, what: string): Promise<Timed<MeshEvent>> {
    const { at, event } = await this.#line(({ event }) => event !== undefined && test(event), what);
    return { at, value: event as MeshEvent };
  }

  /** Resolves with the first event of this type. */
  async event<T extends MeshEvent["type"]>(type: T): Promise<Extract<MeshEvent, { readonly type: T }>> {
    return (await this.happened((event) => event.type === type, type)).value as Extract<
      MeshEvent,
      { readonly type: T }
    >;
  }

  /** Events so far. */
  events(): readonly Timed<MeshEvent>[] {
    return this.process.lines().flatMap(({ node, at = NaN, event }) =>
      node === this.#number && event !== undefined ? [{ at, value: event }] : []
    );
  }

  /** Resolves when it knows all of these at once, with the time: the first such time that is later than `after`. */
  async knows(others: readonly { readonly nodeId: string }[], after = -Infinity): Promise<number> {
    const wanted = new Set(others.map(({ nodeId }) => nodeId));
    const missing = new Set(wanted);
    const { at } = await this.#line(({ at, event }) => {
      if (event?.type === "peerJoined") missing.delete(event.peer.id);
      else if (event?.type === "peerLeft" && wanted.has(event.peer.id)) missing.add(event.peer.id);
      return missing.size === 0 && at > after;
    }, `knowing ${wanted.size} others`);
    return at;
  }

  /** Resolves when it has forgotten this peer, with the reason and the time. */
  async forgets({ nodeId }: { readonly nodeId: string }): Promise<{ readonly at: number; readonly reason: string }> {
    const { at, value } = await this.happened(
      (event) => event.type === "peerLeft" && event.peer.id === nodeId,
      `leaving of ${nodeId}`,
    );
    return { at, reason: value.type === "peerLeft" ? value.reason : "" };
  }

  /** Resolves when a key has arrived, with the time. */
  async heard(key: string): Promise<number> {
    return (await this.#line((line) => line.key === key, `the key ${key}`)).at;
  }

  /** Keys and causes that have arrived so far, as often as they did. */
  keys(): readonly string[] {
    return this.process.lines().flatMap(({ node, key, cause }) =>
      node !== this.#number || key === undefined ? [] : [cause === "publish" ? key : `${cause}: ${key}`]
    );
  }

  /** Resolves with the first line of this node for which `test` holds. */
  #line(test: (line: NodeLine) => boolean, what: string): Promise<NodeLine> {
    return this.process.line((line) => {
      return line.node === this.#number && line.at !== undefined && test(line as NodeLine)
        ? line as NodeLine
        : undefined;
    }, `${what} at ${this.name}`);
  }
}

/** Starts a process on a runtime. */
export type StartHostProcess = (runtime: Runtime, options?: ProgramOptions) => HostProcess;

/** Starts a Node cluster with so many workers: the nodes that it opens are distributed to them in turn. */
export type StartCluster = (workers: number) => HostProcess;

/**
 * Runs `body` with functions that start processes, ends all of them by their input, and asserts that they end with 0.
 */
export function withHostProcesses(
  body: (start: StartHostProcess, startCluster: StartCluster) => Promise<void>,
): Promise<void> {
  return withCalledProcesses((start) =>
    body(
      (runtime, options) => start(HostProcess, runtime, "tests/support/host_node.ts", options),
      (workers) => start(HostProcess, "node", "tests/support/cluster_node.ts", { args: [`${workers}`] }),
    )
  );
}
