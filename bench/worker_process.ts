/**
 * Worker process: starts a process on the same runtime and sends it requests.
 *
 * @module
 */

import { spawn } from "node:child_process";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** A worker process on the same runtime, which answers requests one at a time. */
export interface Peer {
  request(message: unknown): Promise<unknown>;
  /** Ends the process, which closes its sockets. Resolves when it has exited. */
  end(): Promise<void>;
}

/** Starts a module that calls {@linkcode serve} as a process. */
export function startPeer(url: URL, args: readonly string[] = []): Peer {
  const words = [...runtimeArgs(), fileURLToPath(url), ...args];
  const child = spawn(process.execPath, words, { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const exited = new Promise<void>((resolve) => child.once("close", () => resolve()));
  return {
    async request(message) {
      child.stdin.write(`${JSON.stringify(message)}\n`);
      const line = await lines.next();
      if (line.done) throw new Error(`The process of ${url} has ended and left ${JSON.stringify(message)} unanswered`);
      return JSON.parse(line.value);
    },
    async end() {
      child.stdin.end();
      await exited;
    },
  };
}

/** Answers the requests of the process that started this one, until that closes the pipe. */
export async function serve(answer: (message: never) => unknown): Promise<void> {
  for await (const line of createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(await answer(JSON.parse(line) as never)));
  }
}

/** Arguments of this runtime for a program in JavaScript, which needs no loader. */
export function plainArgs(): string[] {
  return process.versions["deno"] === undefined ? [] : runtimeArgs();
}

function runtimeArgs(): string[] {
  if (process.versions["deno"] === undefined) return process.execArgv;
  const { Deno } = globalThis as { readonly Deno?: { readonly listenDatagram?: unknown } };
  return ["run", "-A", "--no-check", ...(Deno?.listenDatagram === undefined ? [] : ["--unstable-net"])];
}
