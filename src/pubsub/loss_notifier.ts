/**
 * Loss notifier: makes load guards stale, emits events and notifies all subscribers when something may have been
 * missed.
 *
 * @module
 */

import type { GapReason, MeshEvent } from "../events.ts";
import type { Clock } from "../platform/clock.ts";
import type { Dispatcher, Loss } from "./dispatcher.ts";
import { GapReporter } from "./gap_reporter.ts";
import type { LoadGuards } from "./load_guard.ts";

/**
 * Least time, in milliseconds, that keys wait for slow callbacks before all subscribers are notified of an overflow. It
 * applies when the heartbeat is shorter: one garbage collection may take as long as a short heartbeat.
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

/** Notifies all subscribers: of gaps and of overflows at most every 100 ms each, and of stalls. */
export class LossNotifier {
  readonly #config: LossNotifierConfig;
  readonly #gaps: GapReporter;
  readonly #overflows: GapReporter;
  /** Called when the gaps that are due have been notified. */
  #afterGaps: (() => void)[] = [];
  #isClosed = false;

  constructor(config: LossNotifierConfig) {
    const { clock } = config;
    this.#config = config;
    this.#gaps = new GapReporter(clock, () => {
      this.#notifyAll("gap");
      for (const call of this.#afterGaps.splice(0)) config.dispatcher.whenDelivered(call);
    });
    this.#overflows = new GapReporter(clock, () => this.#notifyAll("overflow"));
  }

  /** Gaps so far. */
  get gapCount(): number {
    return this.#gaps.count;
  }

  /** These numbers of a node cannot be had; `to` is absent when nobody knows the end. */
  gap(node: string, from: number, to: number | undefined, reason: GapReason): void {
    if (this.#isClosed) return;
    // A round of events may wait, but guards become stale at once.
    this.#config.guards.touchAll();
    this.#config.emit({ type: "gap", node, from, to, reason });
    this.#gaps.report();
  }

  /**
   * Calls `done` when everything that has arrived by now, and every gap known by now, was delivered. Never calls it
   * after `close`.
   */
  whenDelivered(done: () => void): void {
    if (this.#isClosed) return;
    if (this.#gaps.isDue) this.#afterGaps.push(done);
    else this.#config.dispatcher.whenDelivered(done);
  }

  /** Keys that waited for slow callbacks were dropped. */
  overflow(): void {
    this.#overflows.report();
  }

  /** The machine was suspended: guards from before are stale. */
  slept(): void {
    this.#config.guards.touchAll();
  }

  /**
   * The event loop has stalled, or the machine was suspended for `suspended` milliseconds. `since` is the time of the
   * last check before that, by the clock, less the suspension, during which the clock stopped.
   */
  stalled({ since, suspended }: { readonly since: number; readonly suspended: number }): void {
    const { clock, dispatcher, emit, heartbeat } = this.#config;
    const now = clock.now();
    // While a machine is suspended another node may join, publish and leave. Its datagrams do not wait in a socket.
    if (this.#isClosed || (suspended === 0 && now - since <= heartbeat)) return;
    emit({ type: "stalled", duration: now - since });
    // When callbacks of a notification take so long, another notification would cause the same again, without end. A
    // suspension has no such cause.
    if (suspended > 0 || now - dispatcher.notifiedAt > Math.max(MIN_PATIENCE, heartbeat)) this.#notifyAll("gap");
  }

  /** Notifies nothing more. */
  close(): void {
    this.#isClosed = true;
    this.#afterGaps.length = 0;
    this.#gaps.close();
    this.#overflows.close();
  }

  #notifyAll(loss: Loss): void {
    // Guards taken since the loss are stale too: subscribers hear of the loss only now.
    this.#config.guards.touchAll();
    this.#config.dispatcher.notifyAll(loss);
  }
}
