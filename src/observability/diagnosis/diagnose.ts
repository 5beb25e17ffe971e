/**
 * Asks the peers, and says what the answers mean.
 *
 * @module
 */

import { pick } from "../../discovery/seed_addresses.ts";
import { misuse } from "../../errors.ts";
import type { Probes } from "../../membership/echo_probes.ts";
import { checkSignal, onAbort, type Signal } from "../../platform/abort_signal.ts";
import type { Timer } from "../../platform/clock.ts";
import { Jitter } from "../../platform/jitter.ts";
import { checkKnown, knownOptions } from "../../platform/known_options.ts";
import { flawOf } from "./advertised_address_check.ts";
import type { DiagnoseOptions, Diagnosis } from "./diagnosis.ts";
import { findings, MOST_ASKED } from "./findings.ts";
import { Survey } from "./path_survey.ts";
import { observe, type ObserveConfig } from "./snapshot.ts";

/** Part of the time that must be left when the first peer comes, or its answers would come too late. */
const LEAST_LEFT = 1 / 2;
const TIMEOUT = { default: 2000, min: 100, max: 60_000 };

/** What a {@linkcode Diagnoser} is made of. */
export interface DiagnoserConfig extends ObserveConfig {
  readonly nodeId: Uint8Array;
  /** Absent when the node speaks the original's wire only. */
  readonly probes: Probes | undefined;
}

/** What all share who ask at the same time. */
interface Round {
  readonly end: Promise<void>;
  survey: Survey | undefined;
  callers: number;
}

/** One per node. Diagnoses that ran side by side would get in each other's way: each fills the queue of what is to be sent. */
export class Diagnoser {
  readonly #config: DiagnoserConfig;
  #round: Round | undefined;
  /** Ends the wait for the first peer. */
  #endWait: () => void = () => {};

  constructor(config: DiagnoserConfig) {
    this.#config = config;
  }

  /** Rejects for misuse and when `signal` aborts, never for what the network does. */
  async diagnose(options: DiagnoseOptions = {}): Promise<Diagnosis> {
    const timeout = checked(options);
    const { signal } = options;
    signal?.throwIfAborted();
    const config = this.#config;
    const round = config.isHealthy() ? this.#round ??= this.#begin(timeout) : undefined;
    if (round !== undefined) {
      round.callers++;
      await endOr(round.end, signal);
      round.callers--;
      if (round.callers === 0) this.#stop(round);
    }
    signal?.throwIfAborted();
    const { membership, presence: { address, local }, settings: { family } } = config;
    const seen = observe(config, round?.survey);
    const found = findings(seen, flawOf(address, membership.peers.all(), { family, local }));
    return { ok: found.every(({ severity }) => severity !== "error"), findings: found, ...seen };
  }

  /** Somebody has joined. */
  met(): void {
    this.#endWait();
  }

  /** Ends what is under way. */
  close(): void {
    if (this.#round !== undefined) this.#stop(this.#round);
  }

  #begin(timeout: number): Round {
    let end = () => {};
    const round = { end: new Promise<void>((resolve) => end = resolve), survey: this.#survey(timeout), callers: 0 };
    void this.#run(round, timeout).then(end);
    return round;
  }

  /** A node that was just opened may have met nobody yet. */
  async #run(round: Round, timeout: number): Promise<void> {
    const { membership: { peers }, ports: { clock } } = this.#config;
    const end = clock.now() + timeout;
    if (peers.size === 0) {
      await this.#wait(timeout);
      const left = end - clock.now();
      if (this.#round === round && peers.size > 0 && left >= LEAST_LEFT * timeout) {
        round.survey?.stop();
        round.survey = this.#survey(left);
      }
    }
    await round.survey?.end;
    if (this.#round === round) this.#round = undefined;
  }

  #wait(timeout: number): Promise<void> {
    return new Promise((resolve) => {
      const timer: Timer = this.#config.ports.clock.setTimer(() => this.#endWait(), timeout);
      this.#endWait = () => {
        timer.cancel();
        this.#endWait = () => {};
        resolve();
      };
    });
  }

  #stop(round: Round): void {
    if (this.#round !== round) return;
    this.#round = undefined;
    round.survey?.stop();
    this.#endWait();
  }

  #survey(timeout: number): Survey | undefined {
    const { failures, links, membership, nodeId, ports, probes, settings } = this.#config;
    if (probes === undefined) return undefined;
    const { group, multicastLoopback } = settings;
    const port = links.mesh.port;
    const peers = [...membership.peers.all()].filter(({ extended }) => extended);
    const loops = new Map<object, (packet: Uint8Array) => void>();
    for (const { sender } of links.all) {
      if (sender === undefined || !multicastLoopback) continue;
      const send = (packet: Uint8Array) => sender.send(packet, group, port);
      loops.set(sender, (packet) => void send(packet).catch((error) => failures.report("send", error)));
    }
    return new Survey({
      clock: ports.clock,
      probes,
      nodeId,
      peers: pick(peers, MOST_ASKED, () => false, new Jitter(ports.randomBytes)),
      hasGroup: links.hasMulticast,
      group,
      port,
      loops,
      timeout,
    });
  }
}

const OPTIONS = knownOptions<DiagnoseOptions>({ timeout: true, signal: true });

/** Resolves when either has happened. */
function endOr(end: Promise<void>, signal: Signal | undefined): Promise<void> {
  if (signal === undefined) return end;
  return new Promise((resolve) => {
    const takeBack = onAbort(signal, resolve);
    void end.then(() => {
      takeBack();
      resolve();
    });
  });
}

/** The time that it may take. */
function checked(options: DiagnoseOptions): number {
  checkKnown("diagnose", options, OPTIONS, undefined, true);
  const { timeout = TIMEOUT.default, signal } = options;
  if (typeof timeout !== "number" || !(timeout >= TIMEOUT.min && timeout <= TIMEOUT.max)) {
    const rule = `\`timeout\` must be a number of milliseconds from ${TIMEOUT.min} to ${TIMEOUT.max}`;
    throw misuse("diagnose", rule, timeout, true);
  }
  if (signal !== undefined) checkSignal("diagnose", signal);
  return timeout;
}
