/**
 * A program: one node of a mesh that publishes numbered keys and keeps a ledger of the keys of others. It is controlled
 * by lines of JSON on standard input. `loss_process.ts` is its other side. It ends when its input ends.
 *
 * @module
 */

import { setImmediate, setTimeout } from "node:timers/promises";
import { type MeshBus, type MeshOptions, openMesh } from "../../mod.ts";
import { type Accepted, AcceptedRuns, keyOf, Ledger, type Tally } from "./loss_ledger.ts";
import { obey, print } from "./obey.ts";

/** How keys are published. */
export interface Burst {
  /** Name of the stream: no two publishers have the same. */
  readonly stream: string;
  /** Keys in one turn of the event loop. Each is awaited, so the mesh may slow the publisher down. */
  readonly perTurn: number;
  /** Pause between turns, in milliseconds; without it there is none. */
  readonly pause?: number;
  /** Keys in total. Without it, until `stop`. */
  readonly count?: number;
  /** Prints at intervals how many keys were accepted so far. @default {false} */
  readonly tells?: boolean;
}

/** The calls of the node. */
export type LossCall =
  /** `busy`: after each so many keys the receiving callback blocks the process for so many milliseconds. */
  | { readonly do: "open"; readonly options: MeshOptions; readonly busy?: readonly [keys: number, ms: number] }
  /** Publishes. Answers when all keys are accepted, or at once when there is no `count`. */
  | { readonly do: "publish"; readonly burst: Burst }
  /** Stops publishing without `count`. Answers with all that was accepted. */
  | { readonly do: "stop" }
  /** Answers when so many keys of a stream have arrived. */
  | { readonly do: "reached"; readonly stream: string; readonly count: number }
  /** Answers when every key is delivered or covered, or after so many milliseconds with what is lost then. */
  | { readonly do: "settle"; readonly streams: Readonly<Record<string, Accepted>>; readonly within: number }
  /** Answers with the status when all peers are current and nothing is missing, or after so many milliseconds. */
  | { readonly do: "current"; readonly within: number }
  | { readonly do: "metrics" | "close" };

/** The answer to `settle`. */
export interface Settled extends Tally {
  /** Time from the call to the last change that it waited for, in milliseconds. */
  readonly ms: number;
}

const LOOK_MS = 5;
const TALLY_MS = 50;
const PROGRESS_MS = 20;

const ledger = new Ledger();
const accepted: Record<string, AcceptedRuns> = {};
let mesh: MeshBus | undefined;
let stopping = false;
let publishing: Promise<void> | undefined;

async function open(options: MeshOptions, busy: readonly [number, number] | undefined): Promise<unknown> {
  const opened = await openMesh(options);
  mesh = opened;
  opened.events.listen((event) => print({ event, at: Date.now() }));
  let keys = 0;
  opened.subscribe({ prefix: "" }, ({ key, cause }) => {
    if (cause === "publish") ledger.deliver(key);
    else {
      ledger.gap();
      print({ cause, at: Date.now() });
    }
    if (busy !== undefined && ++keys % busy[0] === 0) keepBusy(busy[1]);
  });
  return { nodeId: opened.nodeId, address: opened.address, port: opened.port };
}

function keepBusy(ms: number): void {
  for (const end = performance.now() + ms; performance.now() < end;);
}

async function publish({ stream, perTurn, pause, count = Infinity, tells = false }: Burst): Promise<void> {
  const runs = accepted[stream] ??= new AcceptedRuns();
  const end = runs.count + count;
  let toldAt = -Infinity;
  while (runs.count < end && !stopping) {
    for (let left = Math.min(perTurn, end - runs.count); left > 0; left--) {
      await mesh?.publish(keyOf(stream, runs.count));
      runs.note();
    }
    if (tells && performance.now() - toldAt > PROGRESS_MS) {
      toldAt = performance.now();
      print({ progress: runs.count, at: Date.now() });
    }
    await (pause === undefined ? setImmediate() : setTimeout(pause));
  }
}

/** Polls: what it waits for has no event of its own. */
async function until(condition: () => boolean, within = Infinity): Promise<number> {
  const start = performance.now();
  while (!condition() && performance.now() - start < within) await setTimeout(LOOK_MS);
  return performance.now() - start;
}

async function settle(streams: Readonly<Record<string, Accepted>>, within: number): Promise<Settled> {
  const total = Object.values(streams).flat().reduce((sum, [count]) => sum + count, 0);
  const all = () => Object.keys(streams).reduce((sum, stream) => sum + ledger.delivered(stream), 0) >= total;
  let tallyAt = 0;
  const ms = await until(() => {
    if (all()) return true;
    // Only a gap can cover what does not arrive. To check every key takes time.
    if (ledger.gaps === 0 || performance.now() < tallyAt) return false;
    tallyAt = performance.now() + TALLY_MS;
    return ledger.tally(streams).lost === 0;
  }, within);
  return { ...ledger.tally(streams), ms };
}

function allAccepted(): Record<string, Accepted> {
  return Object.fromEntries(Object.entries(accepted).map(([stream, runs]) => [stream, runs.all()]));
}

async function answer(call: LossCall): Promise<unknown> {
  switch (call.do) {
    case "open":
      return await open(call.options, call.busy);
    case "publish":
      stopping = false;
      publishing = publish(call.burst);
      if (call.burst.count === undefined) {
        // `stop` waits for its end, and reports a failure.
        publishing.catch(() => {});
        return null;
      }
      await publishing;
      return allAccepted();
    case "stop":
      stopping = true;
      await publishing;
      return allAccepted();
    case "reached":
      await until(() => ledger.delivered(call.stream) >= call.count);
      return ledger.delivered(call.stream);
    case "settle":
      return await settle(call.streams, call.within);
    case "current":
      await until(
        () => mesh?.status().peers.every(({ state, missing }) => state === "current" && missing === 0) ?? true,
        call.within,
      );
      return mesh?.status();
    case "metrics":
      return mesh?.metrics();
    case "close":
      return await mesh?.close();
  }
}

obey(answer, () => {
  stopping = true;
  void mesh?.close();
});
