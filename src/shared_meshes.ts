/**
 * Shared meshes: one mesh for each name in a process, however often a module is evaluated.
 *
 * @module
 */

import type { CloseReport } from "./close_report.ts";
import { misuse, show } from "./errors.ts";

/** The part of a mesh that sharing needs. */
interface Closable {
  isHealthy(): boolean;
  close(): Promise<CloseReport>;
}

/** The entry of a name. Another evaluation of the module, perhaps of another version, reads it. */
interface Entry<Bus> {
  readonly options: Readonly<Record<string, unknown>>;
  readonly opened: Promise<Bus>;
  /** Whether `close` was called, once the mesh was opened. */
  isClosing: boolean;
  closed: Promise<CloseReport> | undefined;
}

// The number is the version of the shape of `Entry`: versions whose shapes differ do not share.
const REGISTRY = Symbol.for("@warp-mesh/bus/shared-meshes/1");

/**
 * The mesh of this name: the one that is open or opens, or one that `open` makes. A mesh that failed to open or was
 * closed is not kept. Its successor opens once it is closed.
 *
 * @throws {TypeError} when `name` is no string or is empty, or when an option of the mesh has another value
 */
export async function sharedMesh<Bus extends Closable>(
  name: string,
  options: Readonly<Record<string, unknown>>,
  open: () => Promise<Bus>,
): Promise<Bus> {
  if (typeof name !== "string" || name === "") {
    throw misuse("share a mesh", "its name must be a text that is not empty", name);
  }
  const entries = registry<Bus>();
  const found = entries.get(name);
  if (found !== undefined && !found.isClosing) {
    checkSame(name, found.options, options);
    return await found.opened;
  }
  const entry: Entry<Bus> = { options, opened: openAfter(found?.closed, open), isClosing: false, closed: undefined };
  entries.set(name, entry);
  try {
    const bus = await entry.opened;
    wrapClose(entry, bus, () => entries.get(name) === entry && entries.delete(name));
    return bus;
  } catch (error) {
    if (entries.get(name) === entry) entries.delete(name);
    throw error;
  }
}

async function openAfter<Bus>(closed: Promise<CloseReport> | undefined, open: () => Promise<Bus>): Promise<Bus> {
  await closed;
  return await open();
}

/** Wraps the `close` of the mesh: a port that is still held must be free before the next mesh opens. */
function wrapClose<Bus extends Closable>(entry: Entry<Bus>, bus: Bus, onClosed: () => void): void {
  const close = bus.close.bind(bus);
  bus.close = () => {
    entry.isClosing = true;
    entry.closed ??= close().finally(onClosed);
    return entry.closed;
  };
}

function registry<Bus>(): Map<string, Entry<Bus>> {
  const holder = globalThis as { [REGISTRY]?: Map<string, Entry<Bus>> };
  return holder[REGISTRY] ??= new Map();
}

/**
 * Checks that the options are the same. Functions are not compared, as each evaluation of a module makes new ones of
 * the same text; the first ones stay.
 */
function checkSame(
  name: string,
  kept: Readonly<Record<string, unknown>>,
  asked: Readonly<Record<string, unknown>>,
): void {
  for (const option of new Set([...Object.keys(kept), ...Object.keys(asked)])) {
    const [there, here] = [kept[option], asked[option]];
    if (isOpaque(there) && isOpaque(here)) continue;
    if (JSON.stringify(there) === JSON.stringify(here)) continue;
    throw new TypeError(
      `Cannot share the mesh ${show(name)} as \`${option}\` must be what it was opened with, ${show(there)}: ` +
        `current value is ${show(here)}`,
    );
  }
}

function isOpaque(value: unknown): boolean {
  return typeof value === "function" || (typeof value === "object" && value !== null && !Array.isArray(value));
}
