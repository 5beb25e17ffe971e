/**
 * Nodes in processes of their own that keep a ledger: `loss_node.ts` is the program.
 *
 * @module
 */

import type { MeshEvent, MeshMetrics, MeshOptions, MeshStatus } from "../../mod.ts";
import { CalledProcess } from "./called_process.ts";
import type { OpenedNode } from "./host_node.ts";
import type { Accepted } from "./loss_ledger.ts";
import type { Burst, LossCall, Settled } from "./loss_node.ts";
import type { ProgramLine } from "./obey.ts";
import { type ProgramOptions, type Runtime, withPrograms } from "./programs.ts";

/** An event of the mesh and its time, in milliseconds of the system's clock. */
export interface TimedEvent {
  readonly event: MeshEvent;
  readonly at: number;
}

interface Line extends ProgramLine {
  readonly event?: MeshEvent;
  readonly cause?: string;
  readonly progress?: number;
}

/** Accepted keys by stream. */
export type Streams = Readonly<Record<string, Accepted>>;

/** A process that runs `loss_node.ts`. */
export class LossProcess extends CalledProcess<LossCall, Line> {
  /** The result of `open`. */
  node: OpenedNode = { nodeId: "", address: "", port: 0 };

  /** Opens the node. With `busy`, its callback blocks the process for so many milliseconds after each so many keys. */
  async open(options: MeshOptions, busy?: readonly [keys: number, ms: number]): Promise<void> {
    this.node = (await this.call({ do: "open", options, ...(busy && { busy }) })).value as OpenedNode;
  }

  /** Publishes so many keys. Resolves with what was accepted when all are. */
  async publish(burst: Burst & { readonly count: number }): Promise<Streams> {
    return (await this.call({ do: "publish", burst })).value as Streams;
  }

  /** Begins to publish. */
  async start(burst: Omit<Burst, "count">): Promise<void> {
    await this.call({ do: "publish", burst });
  }

  /** Stops what `start` began. Resolves with what was accepted. */
  async stop(): Promise<Streams> {
    return (await this.call({ do: "stop" })).value as Streams;
  }

  /** Resolves when so many keys of a stream have arrived. */
  async reached(stream: string, count: number): Promise<void> {
    await this.call({ do: "reached", stream, count });
  }

  /** Resolves when every key is delivered or covered by a later gap, or after `within` milliseconds with the rest. */
  async settle(streams: Streams, within: number): Promise<Settled> {
    return (await this.call({ do: "settle", streams, within })).value as Settled;
  }

  /** Resolves with the status when all peers are current and nothing is missing, or after `within` milliseconds. */
  async current(within: number): Promise<MeshStatus> {
    return (await this.call({ do: "current", within })).value as MeshStatus;
  }

  async metrics(): Promise<MeshMetrics> {
    return (await this.call({ do: "metrics" })).value as MeshMetrics;
  }

  async close(): Promise<void> {
    await this.call({ do: "close" });
  }

  /** Resolves with the first event of the mesh, since the start, for which `test` holds. */
  happened(test: (event: MeshEvent) => boolean, what: string): Promise<TimedEvent> {
    return this.line(({ event, at = NaN }) => event !== undefined && test(event) ? { event, at } : undefined, what);
  }

  /** Resolves when another process is a peer. */
  async joined({ node }: LossProcess): Promise<void> {
    await this.happened((event) => event.type === "peerJoined" && event.peer.id === node.nodeId, "joining");
  }

  /** Resolves when the subscription has got so many overflows. */
  overflows(count: number): Promise<true> {
    let left = count;
    return this.line(({ cause }) => cause === "overflow" && --left === 0 ? true : undefined, `${count} overflows`);
  }

  /** Events of the mesh so far. */
  events(): readonly MeshEvent[] {
    return this.lines().flatMap(({ event }) => event === undefined ? [] : [event]);
  }

  /** When the subscription got gaps so far, in milliseconds of the system's clock. */
  gapsAt(): readonly number[] {
    return this.lines().flatMap(({ cause, at = NaN }) => cause === "gap" ? [at] : []);
  }

  /** How many keys this publisher has reported as accepted, and when it last did. */
  progress(): readonly [count: number, at: number] {
    const { progress = 0, at = 0 } = this.lines().findLast(({ progress }) => progress !== undefined) ?? {};
    return [progress, at];
  }

  signal(name: "SIGSTOP" | "SIGCONT" | "SIGKILL"): void {
    this.program.signal(name);
  }
}

/** Starts a process on a runtime. */
export type StartLossNode = (runtime: Runtime, options?: ProgramOptions) => LossProcess;

/** Runs `body` with a function that starts processes, and ends all of them in any case. */
export function withLossProcesses(body: (start: StartLossNode) => Promise<void>): Promise<void> {
  return withPrograms((start) =>
    body((runtime, options) => new LossProcess(runtime, start(runtime, "tests/support/loss_node.ts", options)))
  );
}
