#!/usr/bin/env node
/**
 * Program entry: `npx @warp-mesh/bus doctor` says why the nodes of a mesh do not see each other.
 *
 *     npx @warp-mesh/bus doctor --help
 *     deno run -A --unstable-net jsr:@warp-mesh/bus/cli doctor --help
 *     bunx --bun @warp-mesh/bus doctor --help
 *
 * @module
 */

import { constants } from "node:os";
import process from "node:process";
import { Output } from "./output.ts";
import { program } from "./program.ts";

/**
 * Exit codes besides those of {@linkcode program}: `EX_SOFTWARE` and `EX_IOERR` of sysexits.h, and the base that shells
 * add to the number of a signal.
 */
const FAILED = 70;
const NOT_WRITTEN = 74;
const SIGNALLED = 128;

/** Signals that end the program: a key, a supervisor, a closed terminal, and a key or closed window on Windows. */
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"] as const;

// The node has to leave: a node that vanishes without leaving is a gap to its peers.
const controller = new AbortController();
const listeners = SIGNALS.filter((name) => constants.signals[name] !== undefined).map((name) => {
  const abort = () => controller.abort(name);
  process.once(name, abort);
  return () => process.off(name, abort);
});

// A running look-up of a name cannot be cancelled, and would keep the process for some seconds.
process.exit(await run(new Output(process.stdout), new Output(process.stderr), controller.signal));

async function run(out: Output, err: Output, signal: AbortSignal): Promise<number> {
  try {
    const code = await program(process.argv.slice(2), {
      out: (text) => out.write(text),
      err: (text) => err.write(text),
      hasColours: process.stdout.isTTY === true && !process.env["NO_COLOR"],
      isWatched: process.stderr.isTTY === true,
      signal,
    });
    signal.throwIfAborted();
    // The node has left by now, and a reader may take its time.
    for (const remove of listeners) remove();
    const failure = await out.end();
    await err.end();
    if (failure === undefined) return code;
    err.write(`Cannot write to standard output: ${failure.message}\n`);
    await err.end();
    return NOT_WRITTEN;
  } catch (error) {
    if (signal.aborted) return SIGNALLED + constants.signals[signal.reason as typeof SIGNALS[number]];
    err.write(`${error instanceof Error ? error.stack : error}\n`);
    await err.end();
    return FAILED;
  }
}
