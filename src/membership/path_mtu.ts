/**
 * Paths that lose all large datagrams and no small ones: suspected, measured, and heeded (`docs/wire.md`, "Sizes").
 *
 * @module
 */

import type { Peer } from "../events.ts";
import type { Clock, Timer } from "../platform/clock.ts";
import { MAX_DATAGRAM } from "../wire/layout.ts";
import type { EchoProbes } from "./echo_probes.ts";
import type { PeerEntry } from "./peer.ts";

/** Bytes that fit, with 28 of headers, where an IPv4 packet may have 1400, 1300, 1280 (IPv6's least), 1200, 1000 and 576. */
export const LADDER: readonly number[] = [1372, 1272, 1252, 1172, 972, 548];

/**
 * A datagram that was sent again so often to one peer is suspicious when it is longer than the smallest size that is tried:
 * with a quarter of all lost, one in 16,000 is. It is measured then, which costs little.
 */
const SUSPICIOUS = 7;
const SMALLEST: number = LADDER.at(-1) ?? 0;
/** Datagrams that are watched for each peer, and how long one is kept that is not sent again any more, in milliseconds. */
const WATCHED = 16;
const WATCH_FOR = 1000;
/** How often all sizes are tried that have not arrived, at most, and the time between two tries, in milliseconds. */
const ROUNDS = 24;
const EVERY = 200;
/** That all tries are lost by chance, as small ones are, has to be less likely than this. */
const UNLIKELY = 1e-5;
/** Small ones that have to arrive: who does not answer them tells nothing. */
const MIN_ACKS = 3;
/** Peers that are measured at a time. */
const AT_ONCE = 4;
/** A peer that was measured is not measured again for so long, whatever is suspected, in milliseconds. */
const REST = 60_000;
/** When it is looked whether a path carries more by now, in milliseconds: PMTU_RAISE_TIMER of RFC 8899. */
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
  /** How often datagrams were sent again, and when last, by number. */
  readonly watched: Map<number, { count: number; at: number }>;
  /** The longest datagram that arrives, as far as is known. */
  size: number;
  /** Not measured before this, by the node's clock. */
  restsUntil: number;
  /** Until the next try, or until it is looked whether it carries more. */
  timer: Timer | undefined;
  measurement: Measurement | undefined;
}

interface Measurement {
  readonly nonces: number[];
  rounds: number;
  /** Small ones that have arrived. */
  small: number;
  /** The largest that has. */
  largest: number;
}

/** One per node. It does nothing until something was sent again and again. */
export class PathMtu {
  readonly #config: PathMtuConfig;
  readonly #paths = new Map<string, Path>();
  #limit = MAX_DATAGRAM;
  #measuring = 0;
  #closed = false;

  constructor(config: PathMtuConfig) {
    this.#config = config;
  }

  /** A datagram of so many bytes was sent again to one peer. */
  recovered(id: string, number: number, length: number): void {
    if (length <= SMALLEST || this.#closed) return;
    const now = this.#config.clock.now();
    const path = this.#paths.get(id) ?? this.#add(id);
    if (path === undefined || length > path.size || path.measurement !== undefined || now < path.restsUntil) return;
    if (count(path, number, now) < SUSPICIOUS || this.#measuring >= AT_ONCE) return;
    path.watched.clear();
    this.#measure(id, path);
  }

  /** A peer is gone. */
  forget(id: string): void {
    const path = this.#paths.get(id);
    if (path === undefined) return;
    this.#stop(path);
    this.#paths.delete(id);
    this.#review();
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
      restsUntil: -Infinity,
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
    if (peer === undefined || rounds === ROUNDS) return this.#end(id, path, false);
    measurement.rounds++;
    const ask = (size: number | undefined, onAnswer: () => void) => {
      const probe = { node: peer.nodeId, ...(size === undefined ? {} : { size }) };
      measurement.nonces.push(this.#config.probes.send(probe, peer.endpoint, onAnswer));
    };
    ask(undefined, () => measurement.small++);
    for (const size of [MAX_DATAGRAM, ...LADDER]) {
      if (size > largest) ask(size, () => measurement.largest = Math.max(measurement.largest, size));
    }
    path.timer = this.#config.clock.setTimer(() => this.#round(id, path, measurement), EVERY);
  }

  #end(id: string, path: Path, isKnown: boolean): void {
    const { measurement, size } = path;
    if (measurement === undefined) return;
    this.#stop(path);
    const { clock, peers, onPath } = this.#config;
    path.restsUntil = clock.now() + REST;
    const entry = peers().get(id);
    // Small ones are longer than most of what is sent: below that nothing is gained.
    if (isKnown) path.size = Math.max(SMALLEST, measurement.largest);
    if (path.size < MAX_DATAGRAM) {
      path.timer = clock.setTimer(() => this.#raise(id, path), RAISE_AFTER);
    }
    this.#review();
    if (entry !== undefined && path.size !== size) onPath({ id, address: entry.address }, path.size);
  }

  #raise(id: string, path: Path): void {
    if (this.#measuring < AT_ONCE) this.#measure(id, path);
    else path.timer = this.#config.clock.setTimer(() => this.#raise(id, path), EVERY * ROUNDS);
  }

  #stop(path: Path): void {
    path.timer?.cancel();
    if (path.measurement === undefined) return;
    for (const nonce of path.measurement.nonces) this.#config.probes.forget(nonce);
    path.measurement = undefined;
    this.#measuring--;
  }

  #review(): void {
    let limit = MAX_DATAGRAM;
    for (const { size } of this.#paths.values()) limit = Math.min(limit, size);
    if (limit === this.#limit) return;
    this.#limit = limit;
    this.#config.batcher.limit = limit;
  }
}

/** How often a number was sent again. A few are watched; others when those are sent again no more. */
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
 * Whether what has not arrived cannot, by what became of the small ones that were sent with it: with none of six lost after
 * as many tries. The last try may be on its way.
 */
function isCertain({ rounds, small }: Measurement): boolean {
  const tries = rounds - 1;
  if (small < MIN_ACKS) return false;
  const lost = (Math.max(0, rounds - small) + 1) / (rounds + 2);
  return lost ** tries < UNLIKELY;
}
