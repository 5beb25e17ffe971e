/**
 * Nodes of a mesh in processes of their own.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import type { MeshEvent, MeshMetrics, MeshOptions } from "../../mod.ts";
import type { Call } from "./node_process.ts";
import { type Exit, type Program, type ProgramOptions, type Runtime, RUNTIMES, withPrograms } from "./programs.ts";

/** What {@linkcode MeshProcess.open} has opened. */
export interface OpenedNode {
  readonly nodeId: string;
  readonly address: string;
  readonly port: number;
}

/** An error of the other process: the message and the fields that it carries. */
export interface RemoteError {
  readonly name: string;
  readonly message: string;
  readonly option?: string;
  readonly value?: unknown;
  readonly cause?: { readonly code?: string };
}

interface Line {
  readonly id?: number;
  readonly result?: unknown;
  readonly error?: RemoteError;
  readonly event?: MeshEvent;
  readonly key?: string;
  readonly runtime?: Runtime;
}

/** An operation of the other process has failed. */
export class RemoteFailure extends Error {
  override readonly name = "RemoteFailure";
  readonly error: RemoteError;

  constructor(error: RemoteError) {
    super(error.message);
    this.error = error;
  }
}

/** A process that runs `node_process.ts`. */
export class MeshProcess {
  readonly runtime: Runtime;
  /** What `open` has opened. */
  node: OpenedNode = { nodeId: "", address: "", port: 0 };
  readonly #program: Program;
  #calls = 0;

  constructor(runtime: Runtime, program: Program) {
    this.runtime = runtime;
    this.#program = program;
  }

  /** Resolves when the program runs, with the runtime that it finds itself on. */
  started(): Promise<Runtime> {
    return this.#line(({ runtime }) => runtime, "the first line");
  }

  /** Opens the node on the loopback interface. */
  open(options: MeshOptions = {}): Promise<OpenedNode> {
    return this.openAnywhere({ interface: "127.0.0.1", port: 0, ...options });
  }

  /** Opens the node where `options` say: without an interface, it must be in a namespace that nothing leaves. */
  async openAnywhere(options: MeshOptions): Promise<OpenedNode> {
    this.node = await this.#call({ do: "open", options }) as OpenedNode;
    return this.node;
  }

  /** Publishes keys; resolves when all are accepted. */
  async publish(...keys: string[]): Promise<void> {
    await this.#call({ do: "publish", keys });
  }

  async peers(): Promise<readonly string[]> {
    return await this.#call({ do: "peers" }) as readonly string[];
  }

  async metrics(): Promise<MeshMetrics> {
    return await this.#call({ do: "metrics" }) as MeshMetrics;
  }

  async close(): Promise<void> {
    await this.#call({ do: "close" });
  }

  /** Resolves when `key` has arrived, since the start. */
  async heard(key: string): Promise<void> {
    await this.#line((line) => line.key === key || undefined, `the key ${key}`);
  }

  /** Keys that have arrived, since the start, as often as they did. */
  keys(): readonly string[] {
    return this.#program.lines.map((line) => (JSON.parse(line) as Line).key).filter((key) => key !== undefined);
  }

  /** Resolves with the first event of the mesh, since the start, that `test` accepts. */
  happened<E extends MeshEvent>(test: (event: MeshEvent) => event is E, what: string): Promise<E> {
    return this.#line(({ event }) => event !== undefined && test(event) ? event : undefined, what);
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

  /** Resolves when this node knows `other` once more after it has forgotten it. */
  async knowsAgain(other: OpenedNode): Promise<void> {
    let forgotten = false;
    await this.happened((event): event is MeshEvent => {
      if (event.type !== "peerLeft" && event.type !== "peerJoined") return false;
      if (event.peer.id !== other.nodeId) return false;
      forgotten ||= event.type === "peerLeft";
      return forgotten && event.type === "peerJoined";
    }, `return of ${other.address}`);
  }

  /** Ends its input and resolves with how the process has ended. */
  async end(): Promise<Exit> {
    this.#program.endInput();
    return await this.#program.ended();
  }

  async #call(call: Call): Promise<unknown> {
    const id = this.#calls++;
    this.#program.write(JSON.stringify({ id, ...call }));
    const { result, error } = await this.#line((line) => line.id === id ? line : undefined, `an answer to ${call.do}`);
    if (error !== undefined) throw new RemoteFailure(error);
    return result;
  }

  #line<T>(test: (line: Line) => T | undefined, what: string): Promise<T> {
    return this.#program.line((text) => test(JSON.parse(text) as Line), what);
  }
}

/** Starts a process on a runtime. */
export type StartNode = (runtime: Runtime, options?: ProgramOptions) => MeshProcess;

/** Runs `body` with a way to start processes, asks all of them to end and holds that they do, with exit code 0. */
export function withProcesses(body: (start: StartNode) => Promise<void>): Promise<void> {
  return withPrograms(async (start) => {
    const processes: MeshProcess[] = [];
    await body((runtime, options) => {
      const started = new MeshProcess(runtime, start(runtime, "node_process.ts", options));
      processes.push(started);
      return started;
    });
    const exits = await Promise.all(processes.map((child) => child.end()));
    for (const [i, exit] of exits.entries()) {
      if (exit !== 0) throw new Error(`The ${processes[i]?.runtime} process must end with 0: it ended with ${exit}`);
    }
  });
}

/** One process on each runtime. */
export async function startTrio(start: StartNode): Promise<[MeshProcess, MeshProcess, MeshProcess]> {
  const trio = RUNTIMES.map((runtime) => start(runtime)) as [MeshProcess, MeshProcess, MeshProcess];
  assertEquals(await Promise.all(trio.map((child) => child.started())), RUNTIMES);
  return trio;
}
