/**
 * Heap size: the bytes in use after garbage collection.
 *
 * @module
 */

import process from "node:process";
import { setTimeout } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

// A collection leaves what finalizers still hold; the next one collects it.
const COLLECTIONS = 4;

/** Bytes in use after all garbage is collected, including array buffers. */
export async function heapBytes(): Promise<number> {
  const collect = collector();
  for (let i = 0; i < COLLECTIONS; i++) {
    collect();
    await setTimeout(1);
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

function collector(): () => void {
  const { Bun } = globalThis as { readonly Bun?: { gc(force: boolean): void } };
  if (Bun !== undefined) return () => Bun.gc(true);
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as () => void;
}
