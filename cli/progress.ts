/**
 * Tells whoever waits before a terminal what the program does, and for how long yet.
 *
 * @module
 */

import type { Clock, Timer } from "../src/platform/clock.ts";
import { type Phase, type Phases, phasesInWords, seconds } from "./phases.ts";

/** How often it is told, in milliseconds. */
const EVERY = 1000;

/** What is done in each part. */
const DOING: Readonly<Record<Phase, string>> = {
  beside: "Looking for a node on this host",
  open: "Opening a node",
  listen: "Listening",
  listenOn: "Listening longer, as nobody was heard or something is wrong",
  ask: "Asking the peers",
  look: "Looking outside the mesh",
  seeds: "Asking silent seeds",
  listenElsewhere: "Listening outside the mesh, as nobody was found",
  leave: "Leaving the mesh",
};

/** A line that is written over again and again. */
export class Progress {
  readonly #write: (text: string) => void;
  readonly #clock: Clock;
  #phases: Phases | undefined;
  #phase: Phase = "beside";
  /** When the part has begun, by the clock. */
  #since = 0;
  #timer: Timer | undefined;
  /** Characters of the line that is there. */
  #length = 0;

  /** Writes by `write`, which gets no line breaks but after the first text. */
  constructor(write: (text: string) => void, clock: Clock) {
    this.#write = write;
    this.#clock = clock;
  }

  /** Says what it takes. */
  plan(phases: Phases): void {
    this.#phases = phases;
    this.#write(`${phasesInWords(phases)}\n`);
  }

  /** A part has begun. The wait for others is one, however long it gets. */
  at(phase: Phase): void {
    if (phase !== "listenOn") this.#since = this.#clock.now();
    this.#phase = phase;
    this.#tick();
  }

  /** Takes the line away. */
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
    // Spaces, as not every terminal knows how to clear a line.
    this.#write(`\r${text.padEnd(this.#length)}${text === "" ? "\r" : ""}`);
    this.#length = text.length;
  }
}
