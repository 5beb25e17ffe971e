/**
 * Loss notification: what may have been missed ends load guards, is an event, and is told to every subscriber.
 *
 * @module
 */

import type { GapReason, MeshEvent } from "../events.ts";
import type { Clock } from "../platform/clock.ts";
import type { Dispatcher, Loss } from "./dispatcher.ts";
import { GapReporter } from "./gap_reporter.ts";
import type { LoadGuards } from "./load_guard.ts";

/**
 * How long a key waits for slow callbacks at least, in milliseconds, before everybody is told of an overflow: else a heartbeat
 * as short as one garbage collection would do it.
 */
export const MIN_PATIENCE = 100;

/** What a {@linkcode LossNotifier} is made of. */
export interface LossNotifierConfig {
  readonly clock: Clock;
  /** Time between heartbeats, in milliseconds. */
  readonly heartbeat: number;
  readonly guards: LoadGuards;
  readonly dispatcher: Dispatcher;
  readonly emit: (event: MeshEvent) => void;
}

/** One per node. */
export class LossNotifier {
  readonly #config: LossNotifierConfig;
  readonly #gaps: GapReporter;
  readonly #overflows: GapReporter;
  #isClosed = false;

  constructor(config: LossNotifierConfig) {
    const { clock } = config;
    this.#config = config;
    this.#gaps = new GapReporter(clock, () => this.#tellAll("gap"));
    this.#overflows = new GapReporter(clock, () => this.#tellAll("overflow"));
  }

  /** Gaps so far. */
  get gapCount(): number {
    return this.#gaps.count;
  }

  /** What a node has published in these numbers can not be had; `to` is absent when nobody knows the end. */
  gap(node: string, from: number, to: number | undefined, reason: GapReason): void {
    if (this.#isClosed) return;
    // Guards at once: a round of events may wait.
    this.#config.guards.touchAll();
    this.#config.emit({ type: "gap", node, from, to, reason });
    this.#gaps.report();
  }

  /** Keys that waited for slow callbacks were dropped. */
  overflow(): void {
    this.#overflows.report();
  }

  /** The machine was suspended: guards from before are fresh no more. */
  slept(): void {
    this.#config.guards.touchAll();
  }

  /** All was well last at a time by the clock; since then the event loop stalled, or the machine was suspended for so long. */
  stalled({ since, suspended }: { readonly since: number; readonly suspended: number }): void {
    const { clock, dispatcher, emit, heartbeat } = this.#config;
    const now = clock.now();
    // While a machine is suspended a node may come, publish and leave, and nothing of that waits in its sockets.
    if (this.#isClosed || (suspended === 0 && now - since <= heartbeat)) return;
    emit({ type: "stalled", duration: now - since });
    // Callbacks that take so long while they are told would be told of that, and so on for ever. They suspend no machine.
    if (suspended > 0 || now - dispatcher.toldAt > Math.max(MIN_PATIENCE, heartbeat)) this.#tellAll("gap");
  }

  /** Tells nothing more. */
  close(): void {
    this.#isClosed = true;
    this.#gaps.close();
    this.#overflows.close();
  }

  #tellAll(loss: Loss): void {
    // Guards taken since it happened too: their subscribers hear of it only now.
    this.#config.guards.touchAll();
    this.#config.dispatcher.tellAll(loss);
  }
}
