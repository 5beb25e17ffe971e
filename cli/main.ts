#!/usr/bin/env node
/**
 * A program: `npx @warp-mesh/bus doctor` says why the nodes of a mesh do not see each other.
 *
 *     npx @warp-mesh/bus doctor --help
 *     deno run -A --unstable-net jsr:@warp-mesh/bus/cli doctor --help
 *     bunx @warp-mesh/bus doctor --help
 *
 * @module
 */

import process from "node:process";
import { program } from "./program.ts";

const INTERRUPTED = 130;

// A node that vanishes without a word is a gap to the others.
const controller = new AbortController();
for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => controller.abort(name));

const written: Promise<void>[] = [];
try {
  const code = await program(process.argv.slice(2), {
    out: (text) => written.push(write(process.stdout, text)),
    err: (text) => written.push(write(process.stderr, text)),
    hasColours: process.stdout.isTTY === true && !process.env["NO_COLOR"],
    signal: controller.signal,
  });
  await Promise.all(written);
  // A look-up of a name that is under way can not be called off, and would keep the process for some seconds.
  process.exit(code);
} catch (error) {
  if (!controller.signal.aborted) throw error;
  process.exit(INTERRUPTED);
}

function write(stream: typeof process.stdout | typeof process.stderr, text: string): Promise<void> {
  return new Promise((resolve) => {
    stream.write(text, () => resolve());
  });
}
