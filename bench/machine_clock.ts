/**
 * Machine clock: a clock that all processes of this machine share, exact to a microsecond. It is CLOCK_MONOTONIC on
 * Linux.
 *
 * `process.hrtime` is that clock on Node alone. On Deno and Bun it counts from the start of the process, so there the C
 * library is called once. `performance.now` continues from that value, as it costs the least.
 *
 * @module
 */

import process from "node:process";

const CLOCK_MONOTONIC = 1;
const TRIES = 100;

const offset = await findOffset();

/** Milliseconds since a time that is the same for all processes. */
export function machineNow(): number {
  return performance.now() + offset;
}

async function findOffset(): Promise<number> {
  const ask = await monotonic();
  // Elsewhere: as exact as the runtime's idea of when it was started, a millisecond at worst.
  if (ask === undefined) return performance.timeOrigin;
  let best = { span: Infinity, offset: 0 };
  for (let i = 0; i < TRIES; i++) {
    const before = performance.now();
    const asked = ask();
    const after = performance.now();
    if (after - before < best.span) best = { span: after - before, offset: asked - (before + after) / 2 };
  }
  return best.offset;
}

async function monotonic(): Promise<(() => number) | undefined> {
  if (process.versions["deno"] === undefined && process.versions["bun"] === undefined) {
    return () => Number(process.hrtime.bigint()) / 1e6;
  }
  if (process.platform !== "linux") return undefined;
  const time = new BigInt64Array(2);
  const call = process.versions["bun"] === undefined ? denoClock() : await bunClock();
  return () => {
    if (call(CLOCK_MONOTONIC, time) !== 0) throw new Error("The system has no CLOCK_MONOTONIC");
    const [seconds = 0n, nanoseconds = 0n] = time;
    return Number(seconds) * 1e3 + Number(nanoseconds) / 1e6;
  };
}

type ClockGetTime = (clock: number, time: BigInt64Array) => number;

// The parts of Deno's and Bun's APIs that are used here; their own types would clash with Node's.
interface DenoForeign {
  dlopen(library: string, symbols: unknown): { readonly symbols: { readonly clock_gettime: ClockGetTime } };
}

function denoClock(): ClockGetTime {
  const { Deno } = globalThis as unknown as { readonly Deno: DenoForeign };
  const signature = { parameters: ["i32", "buffer"], result: "i32" };
  return Deno.dlopen("libc.so.6", { clock_gettime: signature }).symbols.clock_gettime;
}

async function bunClock(): Promise<ClockGetTime> {
  // In a variable, so that no compiler looks for the module.
  const name = "bun:ffi";
  const { dlopen } = await import(name) as DenoForeign;
  return dlopen("libc.so.6", { clock_gettime: { args: ["i32", "ptr"], returns: "i32" } }).symbols.clock_gettime;
}
