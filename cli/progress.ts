/**
 * Progress: shows on a terminal what the program does, and for how long.
 *
 * @module
 */

import type { Clock, Timer } from "../src/platform/clock.ts";
import { type Phase, type Phases, phasesInWords, seconds } from "./phases.ts";

/** How often the line is updated, in milliseconds. */
const EVERY = 1000;

/** What is shown for each phase. */
const DOING: Readonly<Record<Phase, string>> = {
  beside: "Looking for a node on this host",
  open: "Opening a node",
  listen: "Listening",
  listenOn: "Listening longer, as no node was heard or something is wrong",
  probe: "Probing the peers",
  scan: "Probing outside the mesh",
  seeds: "Probing silent seeds",
  listenElsewhere: "Listening outside the mesh, as no node was found",
  leave: "Leaving the mesh",
};

/** A line that is overwritten again and again. */
export class Progress {
  readonly #write: (text: string) => void;
  readonly #clock: Clock;
  #phases: Phases | undefined;
  #phase: Phase = "beside";
  /** When the phase began, by the clock. */
  #since = 0;
  #timer: Timer | undefined;
  /** Length of the line that is shown. */
  #length = 0;

  /** `write` gets no line breaks except after the first text. */
  constructor(write: (text: string) => void, clock: Clock) {
    this.#write = write;
    this.#clock = clock;
  }

  /** Shows the durations. */
  plan(phases: Phases): void {
    this.#phases = phases;
    this.#write(`${phasesInWords(phases)}\n`);
  }

  /** Begins a phase. `listen` and `listenOn` count as one wait. */
  at(phase: Phase): void {
    if (phase !== "listenOn") this.#since = this.#clock.now();
    this.#phase = phase;
    this.#tick();
  }

  /** Clears the line. */
  end(): void {
    this.#timer?.cancel();
    this.#show("");
  }

  #tick(): void {
    this.#timer?.cancel();
    const time = this.#clock.now() - this.#since;
    const most = this.#phases?.[this.#phase] ?? 0;
    const part = most > EVERY ? `, ${Math.floor(time / EVERY)} of ${seconds(most)}` : "";
    this.#show(`${DOING[this.#phase]}${part} …`);
    this.#timer = this.#clock.setTimer(() => this.#tick(), EVERY);
  }

  #show(text: string): void {
    if (text.length + this.#length === 0) return;
    // Spaces, as not every terminal can clear a line.
    this.#write(`\r${text.padEnd(this.#length)}${text === "" ? "\r" : ""}`);
    this.#length = text.length;
  }
}
