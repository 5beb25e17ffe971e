/**
 * Nodes of a mesh in processes of their own, one in each: node 0 of `host_node.ts`.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import type { MeshEvent, MeshMetrics, MeshOptions, Topic } from "../../mod.ts";
import { CalledProcess, withCalledProcesses } from "./called_process.ts";
import type { AwaitAnswer, HostCall, HostLine, OpenedNode } from "./host_node.ts";
import { type ProgramOptions, type Runtime, RUNTIMES } from "./programs.ts";

export { RemoteFailure } from "./called_process.ts";

/** A process with a node. */
export class MeshProcess extends CalledProcess<HostCall, HostLine> {
  /** The result of `open`. */
  node: OpenedNode = { nodeId: "", address: "", port: 0 };

  /** Opens the node on the loopback interface. */
  open(options: MeshOptions = {}): Promise<OpenedNode> {
    return this.openAnywhere({ interface: "127.0.0.1", port: 0, ...options });
  }

  /** Opens the node as `options` describe: without an interface, it must be in a namespace that nothing leaves. */
  async openAnywhere(options: MeshOptions): Promise<OpenedNode> {
    this.node = (await this.call({ node: 0, do: "open", options })).value as OpenedNode;
    return this.node;
  }

  /** Publishes keys; resolves when all are accepted. */
  async publish(...keys: string[]): Promise<void> {
    await this.call({ node: 0, do: "publish", keys });
  }

  /** Publishes and awaits it, by default by all. */
  async publishAndAwait(
    topic: Topic,
    wish: Omit<Extract<HostCall, { readonly do: "await" }>, "node" | "do" | "topic"> = {},
  ): Promise<AwaitAnswer> {
    return (await this.call({ node: 0, do: "await", topic, ...wish })).value as AwaitAnswer;
  }

  /** Subscribes with a callback whose promise takes so many milliseconds, and is waited for. */
  async settleAfter(topic: Topic, ms: number): Promise<void> {
    await this.call({ node: 0, do: "settle", topic, ms });
  }

  async token(earlier?: string): Promise<string> {
    return (await this.call({ node: 0, do: "token", ...earlier !== undefined && { earlier } })).value as string;
  }

  async reached(token: string, timeout = 30_000): Promise<void> {
    await this.call({ node: 0, do: "reached", token, timeout });
  }

  /** All that it has received: keys, and prefixes with a `*` after them. */
  async received(): Promise<readonly string[]> {
    return (await this.call({ node: 0, do: "received" })).value as readonly string[];
  }

  signal(name: "SIGSTOP" | "SIGCONT"): void {
    this.program.signal(name);
  }

  async peers(): Promise<readonly string[]> {
    return (await this.call({ node: 0, do: "peers" })).value as readonly string[];
  }

  async metrics(): Promise<MeshMetrics> {
    return (await this.call({ node: 0, do: "metrics" })).value as MeshMetrics;
  }

  async close(): Promise<void> {
    await this.call({ node: 0, do: "close" });
  }

  /** Resolves when `key` has arrived, since the start. */
  async heard(key: string): Promise<void> {
    await this.line((line) => line.key === key || undefined, `the key ${key}`);
  }

  /** Keys that have arrived since the start, with repetitions. */
  keys(): readonly string[] {
    return this.lines().map(({ key }) => key).filter((key) => key !== undefined);
  }

  /** Resolves with the first event of the mesh, since the start, that `test` accepts. */
  happened<E extends MeshEvent>(test: (event: MeshEvent) => event is E, what: string): Promise<E> {
    return this.line(({ event }) => event !== undefined && test(event) ? event : undefined, what);
  }

  /** Resolves with an event of this type. */
  event<T extends MeshEvent["type"]>(type: T): Promise<Extract<MeshEvent, { readonly type: T }>> {
    return this.happened((event): event is Extract<MeshEvent, { readonly type: T }> => event.type === type, type);
  }

  /** Resolves when this node knows all of `others`. */
  async knows(...others: readonly OpenedNode[]): Promise<void> {
    await Promise.all(others.map(({ nodeId, address }) =>
      this.happened(
        (event): event is MeshEvent =>
          (event.type === "peerJoined" || event.type === "peerMoved") && event.peer.id === nodeId,
        `joining of ${address}`,
      )
    ));
  }

  /** Resolves when this node has forgotten `other`. */
  async forgets({ nodeId, address }: OpenedNode): Promise<void> {
    await this.happened(
      (event): event is MeshEvent => event.type === "peerLeft" && event.peer.id === nodeId,
      `leaving of ${address}`,
    );
  }

  /** Resolves when this node knows `other` again after it has forgotten it. */
  async knowsAgain(other: OpenedNode): Promise<void> {
    let forgotten = false;
    await this.happened((event): event is MeshEvent => {
      if (event.type !== "peerLeft" && event.type !== "peerJoined") return false;
      if (event.peer.id !== other.nodeId) return false;
      forgotten ||= event.type === "peerLeft";
      return forgotten && event.type === "peerJoined";
    }, `return of ${other.address}`);
  }
}

/** Starts a process on a runtime. */
export type StartNode = (runtime: Runtime, options?: ProgramOptions) => MeshProcess;

/**
 * Runs `body` with a function that starts processes, ends all of them by their input, and asserts that they end with 0.
 */
export function withProcesses(body: (start: StartNode) => Promise<void>): Promise<void> {
  return withCalledProcesses((start) =>
    body((runtime, options) => start(MeshProcess, runtime, "tests/support/host_node.ts", options))
  );
}

/** One process on each runtime. */
export async function startTrio(start: StartNode): Promise<[MeshProcess, MeshProcess, MeshProcess]> {
  const trio = RUNTIMES.map((runtime) => start(runtime)) as [MeshProcess, MeshProcess, MeshProcess];
  assertEquals(await Promise.all(trio.map((child) => child.started())), RUNTIMES);
  return trio;
}
