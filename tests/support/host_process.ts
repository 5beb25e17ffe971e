/**
 * Nodes of one or more meshes in processes of their own: `host_node.ts` is the program.
 *
 * @module
 */

import type { MeshEvent, MeshMetrics, MeshOptions } from "../../mod.ts";
import type { HostCall } from "./host_node.ts";
import { type Program, type ProgramOptions, type Runtime, withPrograms } from "./programs.ts";

/** What happened to a node, and when, in milliseconds of the system's clock. */
export interface Timed<T> {
  readonly at: number;
  readonly value: T;
}

interface Line {
  readonly id?: number;
  readonly started?: true;
  readonly result?: unknown;
  readonly error?: { readonly message: string };
  readonly node?: number;
  readonly at?: number;
  readonly event?: MeshEvent;
  readonly key?: string;
  readonly cause?: string;
}

type NodeLine = Line & { readonly at: number };

/** Milliseconds of the system's clock, as events have them. */
export function now(): number {
  return performance.timeOrigin + performance.now();
}

/** A process that runs `host_node.ts`. */
export class HostProcess {
  readonly runtime: Runtime;
  readonly #program: Program;
  #calls = 0;
  #nodes = 0;
  #isKilled = false;

  constructor(runtime: Runtime, program: Program) {
    this.runtime = runtime;
    this.#program = program;
  }

  /** Whether it was ended by {@linkcode HostProcess.kill}. */
  get isKilled(): boolean {
    return this.#isKilled;
  }

  /** Resolves when the program runs. */
  async started(): Promise<void> {
    await this.line(({ started }) => started, "the first line");
  }

  /** Opens a node where `options` say: without an interface, it must be in a namespace that nothing leaves. */
  async open(options: MeshOptions = {}): Promise<HostNode> {
    const number = this.#nodes++;
    const { value } = await this.call(number, { do: "open", options });
    return new HostNode(this, number, value as OpenedHostNode);
  }

  /** Ends it at once, and waits for that. Resolves with the time of it. */
  async kill(): Promise<number> {
    this.#isKilled = true;
    const at = now();
    // Deno's own method closes the input first: a process that gets that far leaves in good order.
    this.#program.signal("SIGKILL");
    await this.#program.exit;
    return at;
  }

  /** Ends its input, for it to close its nodes and end by itself, and waits for that. */
  async end(): Promise<void> {
    if (this.#isKilled) return;
    this.#program.endInput();
    const exit = await this.#program.ended();
    if (exit !== 0) throw new Error(`The process must end with 0: it has ended with ${exit}: ${this.describe()}`);
  }

  /** What is known of it, for messages. */
  describe(): string {
    return this.#program.describe();
  }

  /** Resolves with the answer, and with the time at which it was asked. */
  async call(node: number, call: HostCall): Promise<Timed<unknown>> {
    const id = this.#calls++;
    this.#program.write(JSON.stringify({ id, node, ...call }));
    const answer = await this.line((line) => line.id === id ? line : undefined, `an answer to ${call.do}`);
    if (answer.error !== undefined) {
      throw new Error(`The ${this.runtime} process has failed to ${call.do}: ${answer.error.message}`);
    }
    return { at: answer.at ?? NaN, value: answer.result };
  }

  /** Resolves with the first result of `test`, of all lines since the start. */
  line<T>(test: (line: Line) => T | undefined, what: string): Promise<T> {
    return this.#program.line((text) => test(JSON.parse(text) as Line), what);
  }

  /** All lines so far. */
  lines(): readonly Line[] {
    return this.#program.lines.map((text) => JSON.parse(text) as Line);
  }
}

interface OpenedHostNode {
  readonly nodeId: string;
  readonly address: string;
  readonly port: number;
}

/** A node of such a process. */
export class HostNode {
  readonly process: HostProcess;
  readonly nodeId: string;
  /** The address that it advertised when it was opened. */
  readonly address: string;
  readonly port: number;
  readonly #number: number;

  constructor(process: HostProcess, number: number, { nodeId, address, port }: OpenedHostNode) {
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

  /** Publishes keys. Resolves when all are accepted, with the time at which it was asked. */
  async publish(...keys: string[]): Promise<number> {
    return (await this.process.call(this.#number, { do: "publish", keys })).at;
  }

  /** Addresses of its peers, sorted. */
  async peers(): Promise<readonly string[]> {
    const { value } = await this.process.call(this.#number, { do: "peers" });
    return [...value as readonly string[]].sort();
  }

  async metrics(): Promise<MeshMetrics> {
    return (await this.process.call(this.#number, { do: "metrics" })).value as MeshMetrics;
  }

  /** Closes it. Resolves with the time at which it was asked. */
  async close(): Promise<number> {
    return (await this.process.call(this.#number, { do: "close" })).at;
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

  /** Resolves when it knows all of these at once, with the time of it: the first such time that is later than `after`. */
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

  /** Resolves when it has forgotten this one, with how and when. */
  async forgets({ nodeId }: { readonly nodeId: string }): Promise<{ readonly at: number; readonly reason: string }> {
    const { at, value } = await this.happened(
      (event) => event.type === "peerLeft" && event.peer.id === nodeId,
      `leaving of ${nodeId}`,
    );
    return { at, reason: value.type === "peerLeft" ? value.reason : "" };
  }

  /** Resolves when a key has arrived, with the time of it. */
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

/** Starts a Node cluster with so many workers: the nodes that it opens are theirs in turn. */
export type StartCluster = (workers: number) => HostProcess;

/** Runs `body` with ways to start processes, asks all of them to end and holds that they do, with exit code 0. */
export function withHostProcesses(
  body: (start: StartHostProcess, startCluster: StartCluster) => Promise<void>,
): Promise<void> {
  return withPrograms(async (start) => {
    const processes: HostProcess[] = [];
    const add = (runtime: Runtime, file: string, options?: ProgramOptions): HostProcess => {
      const started = new HostProcess(runtime, start(runtime, file, options));
      processes.push(started);
      return started;
    };
    await body(
      (runtime, options) => add(runtime, "host_node.ts", options),
      (workers) => add("node", "cluster_node.ts", { args: [`${workers}`] }),
    );
    await Promise.all(processes.map((process) => process.end()));
  });
}
