/**
 * Replica process: starts one replica of the demo on its runtime, and exchanges lines of JSON with it.
 *
 * @module
 */

import { type ChildProcessByStdio, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { BUN, DENO, ROOT } from "../../scripts/runtimes.ts";
import type { Message, ReplicaRequest, ReplicaResponse } from "./replica.ts";

/** The runtimes of the demo, in the order in which they take turns. */
export const RUNTIMES = ["node", "deno", "bun"] as const;

/** One of them. */
export type Runtime = (typeof RUNTIMES)[number];

/** How a replica is started. */
export interface ReplicaConfig {
  readonly runtime: Runtime;
  /** Folder of the store. */
  readonly folder: string;
  /** UDP port of the mesh, 0 for a free one. */
  readonly port: number;
  /** Leaves the subscription out. */
  readonly deaf: boolean;
  /** Called with what it says by itself. */
  readonly onMessage: (message: Message, replica: ReplicaProcess) => void;
}

/** Time that a replica has to respond, in milliseconds. The responses themselves take less than one. */
const RESPONSE_TIMEOUT = 5_000;

/** Time that a replica has to end, in milliseconds, before it is killed. */
const STOP_TIMEOUT = 2_000;

const REPLICA = fileURLToPath(new URL("replica.ts", import.meta.url));

interface Waiting {
  readonly resolve: (response: ReplicaResponse) => void;
  readonly reject: (error: Error) => void;
}

/** A replica that runs in a process of its own. */
export class ReplicaProcess {
  readonly runtime: Runtime;
  /** Rejects when the process ends before it was told to; never resolves. */
  readonly crashed: Promise<never>;
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #waiting = new Map<number, Waiting>();
  readonly #closed: Promise<void>;
  #requests = 0;
  #stderr = "";
  #stopping = false;

  constructor(config: ReplicaConfig) {
    this.runtime = config.runtime;
    const [command, ...args] = commandOf(config);
    const child = spawn(command, args, { cwd: ROOT, stdio: ["pipe", "pipe", "pipe"] });
    this.#child = child;
    this.#closed = new Promise((resolve) => child.once("close", () => resolve()));
    this.crashed = new Promise((_, reject) => {
      const fail = (text: string) => this.#fail(new Error(`The replica on ${this.runtime} ${text}`), reject);
      child.once("error", (error) => fail(`could not be started: ${error.message}`));
      child.once("close", (code, signal) => fail(`has ended by itself (${signal ?? code})\n${this.#stderr}`.trim()));
    });
    // Somebody waits for it only once all replicas run.
    this.crashed.catch(() => {});
    child.stdin.on("error", () => {}); // it has ended: `close` says so
    child.stderr.setEncoding("utf8").on("data", (text: string) => this.#stderr = (this.#stderr + text).slice(-4000));
    createInterface({ input: child.stdout }).on("line", (line) => {
      const message = JSON.parse(line) as Message;
      if (message.say === "response") this.#take(message.number, message.response);
      else config.onMessage(message, this);
    });
  }

  /** The time at which the replica has responded, by its clock. */
  async clock(): Promise<number> {
    return (await this.#request({ do: "clock" })).time;
  }

  /** Has it read a user: from its cache, or from the store. */
  async read(id: string): Promise<string | undefined> {
    return (await this.#request({ do: "read", id })).name;
  }

  /** Has it change a user. Resolves to when it told the others, by its clock. */
  async write(id: string, name: string): Promise<number> {
    return (await this.#request({ do: "write", id, name })).time;
  }

  /** Closes its input, on which it ends, and kills it when it does not. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#child.stdin.end();
    const timer = setTimeout(() => this.kill(), STOP_TIMEOUT);
    await this.#closed;
    clearTimeout(timer);
  }

  /** Ends it at once. Nothing happens when it has ended. */
  kill(): void {
    this.#child.kill("SIGKILL");
  }

  #request(request: ReplicaRequest): Promise<ReplicaResponse> {
    const number = ++this.#requests;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(number);
        reject(new Error(`The replica on ${this.runtime} has not responded for ${RESPONSE_TIMEOUT} ms`));
      }, RESPONSE_TIMEOUT);
      this.#waiting.set(number, {
        resolve(response) {
          clearTimeout(timer);
          resolve(response);
        },
        reject(error) {
          clearTimeout(timer);
          reject(error);
        },
      });
      this.#child.stdin.write(`${JSON.stringify({ ...request, number })}\n`);
    });
  }

  #take(number: number, response: ReplicaResponse): void {
    const waiting = this.#waiting.get(number);
    this.#waiting.delete(number);
    if (response.error === undefined) waiting?.resolve(response);
    else waiting?.reject(new Error(`The replica on ${this.runtime} has failed: ${response.error}`));
  }

  #fail(error: Error, reject: (error: Error) => void): void {
    for (const waiting of this.#waiting.values()) waiting.reject(error);
    this.#waiting.clear();
    if (!this.#stopping) reject(error);
  }
}

function commandOf({ runtime, folder, port, deaf }: ReplicaConfig): [string, ...string[]] {
  const program = [REPLICA, folder, String(port), ...(deaf ? ["--deaf"] : [])];
  if (runtime === "node") return [process.execPath, "--import", "tsx", ...program];
  if (runtime === "bun") return [BUN, ...program];
  // All that the mesh and the store need, and nothing else. The mesh: the shared port is bound on 0.0.0.0, the node's own
  // on 127.0.0.1, where its peers are too, and 239.0.0.1 is the group.
  const mesh = ["--unstable-net", "--allow-net=0.0.0.0,127.0.0.1,239.0.0.1", "--allow-sys=networkInterfaces"];
  return [
    DENO,
    "run",
    "--quiet",
    "--no-prompt",
    ...mesh,
    `--allow-read=${folder}`,
    `--allow-write=${folder}`,
    ...program,
  ];
}
