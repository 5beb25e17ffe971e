/**
 * Diagnoser: probes the peers and derives findings from what was measured.
 *
 * @module
 */

import { pick } from "../../discovery/seed_addresses.ts";
import type { EchoProbes } from "../../membership/echo_probes.ts";
import { onAbort, type Signal } from "../../platform/abort_signal.ts";
import type { Timer } from "../../platform/clock.ts";
import { Jitter } from "../../platform/jitter.ts";
import { flawOf } from "./advertised_address_check.ts";
import type { Diagnosis } from "./diagnosis.ts";
import { findings, MAX_PROBED } from "./findings.ts";
import { PathSurvey } from "./path_survey.ts";
import { type SnapshotConfig, snapshotOf } from "./snapshot.ts";

/** Share of the timeout that must be left when the first peer joins. With less, its acks would come too late. */
const MIN_LEFT = 1 / 2;

/** What a {@linkcode Diagnoser} is built from. */
export interface DiagnoserConfig extends SnapshotConfig {
  readonly nodeId: Uint8Array;
  /** Absent when the node speaks go-warp's wire format only. */
  readonly probes: EchoProbes | undefined;
}

/** A running diagnosis, which all concurrent callers share. */
interface Round {
  readonly end: Promise<void>;
  survey: PathSurvey | undefined;
  callers: number;
}

/**
 * Diagnoses this node. Concurrent calls share one diagnosis: several would disturb each other, as each fills the
 * transmit queue with probes.
 */
export class Diagnoser {
  readonly #config: DiagnoserConfig;
  #round: Round | undefined;
  /** Ends the wait for the first peer. */
  #endWait: () => void = () => {};

  constructor(config: DiagnoserConfig) {
    this.#config = config;
  }

  /**
   * Probes the peers and resolves with the diagnosis, after `timeout` milliseconds at the latest. Rejects when `signal`
   * aborts, never for network trouble.
   */
  async diagnose(timeout: number, signal: Signal | undefined): Promise<Diagnosis> {
    signal?.throwIfAborted();
    const config = this.#config;
    const round = config.node.isHealthy() ? this.#round ??= this.#begin(timeout) : undefined;
    if (round !== undefined) {
      round.callers++;
      await endOr(round.end, signal);
      round.callers--;
      if (round.callers === 0) this.#stop(round);
    }
    signal?.throwIfAborted();
    const { membership, localNode: { address, local }, settings: { family } } = config;
    const seen = snapshotOf(config, round?.survey);
    const found = findings(seen, flawOf(address, membership.peers.all(), { family, local }));
    return { ok: found.every(({ severity }) => severity !== "error"), findings: found, ...seen };
  }

  /** A peer has joined. */
  met(): void {
    this.#endWait();
  }

  /** Ends a running diagnosis. */
  close(): void {
    if (this.#round !== undefined) this.#stop(this.#round);
  }

  #begin(timeout: number): Round {
    let end = () => {};
    const round = { end: new Promise<void>((resolve) => end = resolve), survey: this.#survey(timeout), callers: 0 };
    void this.#run(round, timeout).then(end);
    return round;
  }

  /** Waits for the first peer, which a node that was just opened may not have yet, and probes. */
  async #run(round: Round, timeout: number): Promise<void> {
    const { membership: { peers }, ports: { clock } } = this.#config;
    const end = clock.now() + timeout;
    if (peers.size === 0) {
      await this.#wait(timeout);
      const left = end - clock.now();
      if (this.#round === round && peers.size > 0 && left >= MIN_LEFT * timeout) {
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

  #survey(timeout: number): PathSurvey | undefined {
    const { errorReporter, links, membership, nodeId, ports, probes, settings } = this.#config;
    if (probes === undefined) return undefined;
    const { group, multicastLoopback } = settings;
    const port = links.mesh.port;
    const peers = [...membership.peers.all()].filter(({ extended }) => extended);
    const loops = new Map<object, (packet: Uint8Array) => void>();
    for (const { sender } of links.all) {
      if (sender === undefined || !multicastLoopback) continue;
      const send = (packet: Uint8Array) => sender.send(packet, group, port);
      loops.set(sender, (packet) => void send(packet).catch((error) => errorReporter.report("send", error)));
    }
    return new PathSurvey({
      clock: ports.clock,
      probes,
      nodeId,
      peers: pick(peers, MAX_PROBED, () => false, new Jitter(ports.randomBytes)),
      hasGroup: links.hasMulticast,
      group,
      port,
      loops,
      timeout,
    });
  }
}

/** Resolves when `end` resolves or `signal` aborts. */
function endOr(end: Promise<void>, signal: Signal | undefined): Promise<void> {
  if (signal === undefined) return end;
  return new Promise((resolve) => {
    const retract = onAbort(signal, resolve);
    void end.then(() => {
      retract();
      resolve();
    });
  });
}
