/**
 * Path MTU discovery: paths that lose all large datagrams and no small ones are suspected, measured, and heeded
 * (`docs/wire.md`, "Sizes"). It is kin to DPLPMTUD (RFC 8899): probes of chosen lengths, acknowledged by the peer, and
 * a timer that tries longer ones again. Unlike DPLPMTUD it begins at the largest size, and measures a path only when
 * datagrams are lost on it again and again, as its black hole detection would notice.
 *
 * @module
 */

import type { Peer } from "../events.ts";
import type { Clock, Timer } from "../platform/clock.ts";
import { MAX_DATAGRAM } from "../wire/layout.ts";
import type { EchoProbes } from "./echo_probes.ts";
import type { PeerEntry } from "./peer.ts";

/**
 * Bytes that fit, with 28 of headers, where an IPv4 packet may have 1400, 1300, 1280 (IPv6's least), 1200, 1000 and
 * 576.
 */
export const LADDER: readonly number[] = [1372, 1272, 1252, 1172, 972, 548];

/**
 * Retransmissions of one datagram to one peer after which its path is measured, if the datagram is longer than the
 * smallest size that is tried. With a quarter of all datagrams lost, that happens to one in 16,000; a measurement costs
 * little.
 */
const SUSPICIOUS_RESENDS = 7;
const SMALLEST: number = LADDER.at(-1) ?? 0;
/** Datagrams that are watched for each peer, and for how long after the last retransmission, in milliseconds. */
const WATCHED = 16;
const WATCH_FOR = 1000;
/**
 * Most rounds of a measurement, in each of which all sizes are tried that have not arrived, and the time between two,
 * in milliseconds.
 */
const MAX_ROUNDS = 24;
const ROUND_EVERY = 200;
/**
 * A size does not fit when the chance that all its probes were lost, with the loss of small ones, is less than this.
 */
const UNLIKELY = 1e-5;
/** Small probes that have to be acknowledged: a peer that answers none of them may just be gone. */
const MIN_ACKS = 3;
/** Most peers that are measured at a time. */
const AT_ONCE = 4;
/** Time after a measurement before which the path is not measured again, whatever is suspected, in milliseconds. */
const REMEASURE_AFTER = 60_000;
/** When a path that does not carry all sizes is measured again, in milliseconds: PMTU_RAISE_TIMER of RFC 8899. */
const RAISE_AFTER = 600_000;

/** What a {@linkcode PathMtu} is made of. The callbacks MUST NOT throw. */
export interface PathMtuConfig {
  readonly clock: Clock;
  readonly probes: Pick<EchoProbes, "send" | "forget">;
  readonly peers: () => { get(id: string): PeerEntry | undefined };
  /** Its batches should not be longer than `limit`, in bytes. */
  readonly batcher: { limit: number };
  /** Datagrams longer than this do not reach a peer; {@linkcode MAX_DATAGRAM} when all do again. */
  readonly onPath: (peer: Peer, size: number) => void;
}

/** What is known of the path to one peer. */
interface Path {
  /** Retransmissions of datagrams, and when the last one was, by the number of the batch. */
  readonly watched: Map<number, { count: number; at: number }>;
  /** The longest datagram that arrives, as far as is known, in bytes. */
  size: number;
  /** Not measured before this, by the node's clock. */
  notBefore: number;
  /** Until the next round, or until the path is measured again. */
  timer: Timer | undefined;
  measurement: Measurement | undefined;
}

/** A measurement that goes on. */
interface Measurement {
  /** Those of all its probes. */
  readonly nonces: number[];
  /** Rounds that have begun. */
  rounds: number;
  /** Small probes that were acknowledged. */
  small: number;
  /** The size of the largest probe that was, in bytes. */
  largest: number;
}

/**
 * Measures paths on which large datagrams are lost, and limits batches to the size that all peers receive. Without
 * repeated retransmissions it does nothing.
 */
export class PathMtu {
  readonly #config: PathMtuConfig;
  readonly #paths = new Map<string, Path>();
  #limit = MAX_DATAGRAM;
  #measuring = 0;
  #closed = false;

  constructor(config: PathMtuConfig) {
    this.#config = config;
  }

  /** A datagram of so many bytes was retransmitted to one peer. */
  retransmitted(id: string, number: number, length: number): void {
    if (length <= SMALLEST || this.#closed) return;
    const now = this.#config.clock.now();
    const path = this.#paths.get(id) ?? this.#add(id);
    if (path === undefined || length > path.size || path.measurement !== undefined || now < path.notBefore) return;
    if (count(path, number, now) < SUSPICIOUS_RESENDS || this.#measuring >= AT_ONCE) return;
    path.watched.clear();
    this.#measure(id, path);
  }

  /** A peer has departed. */
  forget(id: string): void {
    const path = this.#paths.get(id);
    if (path === undefined) return;
    this.#stop(path);
    this.#paths.delete(id);
    this.#updateLimit();
  }

  /** Measures nothing any more. */
  close(): void {
    this.#closed = true;
    for (const path of this.#paths.values()) this.#stop(path);
    this.#paths.clear();
  }

  #add(id: string): Path | undefined {
    if (this.#config.peers().get(id) === undefined) return undefined;
    const path: Path = {
      watched: new Map(),
      size: MAX_DATAGRAM,
      notBefore: -Infinity,
      timer: undefined,
      measurement: undefined,
    };
    this.#paths.set(id, path);
    return path;
  }

  #measure(id: string, path: Path): void {
    path.timer?.cancel();
    path.measurement = { nonces: [], rounds: 0, small: 0, largest: 0 };
    this.#measuring++;
    this.#round(id, path, path.measurement);
  }

  #round(id: string, path: Path, measurement: Measurement): void {
    const peer = this.#config.peers().get(id);
    const { rounds, largest } = measurement;
    if (largest === MAX_DATAGRAM || isCertain(measurement)) return this.#end(id, path, true);
    if (peer === undefined || rounds === MAX_ROUNDS) return this.#end(id, path, false);
    measurement.rounds++;
    const probe = (size: number | undefined, onAnswer: () => void) => {
      const what = { node: peer.nodeId, ...(size === undefined ? {} : { size }) };
      measurement.nonces.push(this.#config.probes.send(what, peer.endpoint, onAnswer));
    };
    probe(undefined, () => measurement.small++);
    for (const size of [MAX_DATAGRAM, ...LADDER]) {
      if (size > largest) probe(size, () => measurement.largest = Math.max(measurement.largest, size));
    }
    path.timer = this.#config.clock.setTimer(() => this.#round(id, path, measurement), ROUND_EVERY);
  }

  #end(id: string, path: Path, isKnown: boolean): void {
    const { measurement, size } = path;
    if (measurement === undefined) return;
    this.#stop(path);
    const { clock, peers, onPath } = this.#config;
    path.notBefore = clock.now() + REMEASURE_AFTER;
    const entry = peers().get(id);
    // Most datagrams are shorter than the smallest size: below it nothing is gained.
    if (isKnown) path.size = Math.max(SMALLEST, measurement.largest);
    if (path.size < MAX_DATAGRAM) {
      path.timer = clock.setTimer(() => this.#raise(id, path), RAISE_AFTER);
    }
    this.#updateLimit();
    if (entry !== undefined && path.size !== size) onPath({ id, address: entry.address }, path.size);
  }

  #raise(id: string, path: Path): void {
    if (this.#measuring < AT_ONCE) this.#measure(id, path);
    else path.timer = this.#config.clock.setTimer(() => this.#raise(id, path), ROUND_EVERY * MAX_ROUNDS);
  }

  #stop(path: Path): void {
    path.timer?.cancel();
    if (path.measurement === undefined) return;
    for (const nonce of path.measurement.nonces) this.#config.probes.forget(nonce);
    path.measurement = undefined;
    this.#measuring--;
  }

  #updateLimit(): void {
    let limit = MAX_DATAGRAM;
    for (const { size } of this.#paths.values()) limit = Math.min(limit, size);
    if (limit === this.#limit) return;
    this.#limit = limit;
    this.#config.batcher.limit = limit;
  }
}

/**
 * How often a batch was retransmitted. A few are watched; others take their places when these are retransmitted no
 * more.
 */
function count({ watched }: Path, number: number, now: number): number {
  const known = watched.get(number);
  if (known !== undefined) {
    known.at = now;
    return ++known.count;
  }
  if (watched.size >= WATCHED) {
    for (const [each, { at }] of watched) if (now - at >= WATCH_FOR) watched.delete(each);
  }
  if (watched.size < WATCHED) watched.set(number, { count: 1, at: now });
  return 1;
}

/**
 * Whether the sizes without an ack do not fit, by the loss of the small probes that were sent with them. The last round
 * may still be on its way; when no small probe is lost, six rounds before it are enough.
 */
function isCertain({ rounds, small }: Measurement): boolean {
  const tries = rounds - 1;
  if (small < MIN_ACKS) return false;
  const lost = (Math.max(0, rounds - small) + 1) / (rounds + 2);
  return lost ** tries < UNLIKELY;
}
