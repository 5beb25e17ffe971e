/**
 * Path validation: challenges and responses by which nodes show each other at which address they listen. It is kin to
 * that of QUIC (RFC 9000, section 8.2): a heartbeat with a nonce is the PATH_CHALLENGE, and one that echoes it the
 * PATH_RESPONSE.
 *
 * @module
 */

import type { Clock, Timer } from "../platform/clock.ts";
import { type Endpoint, formatEndpoint } from "../platform/endpoint.ts";
import type { RandomBytes } from "../platform/host.ts";
import { TokenBucket } from "../platform/token_bucket.ts";
import type { HeartbeatPayload, HeartbeatTransport } from "./heartbeat_sender.ts";
import type { MulticastReachability } from "./multicast_reachability.ts";
import { type PathChallenge, PathChallenges } from "./path_challenges.ts";
import type { PeerEntry, ValidationState } from "./peer.ts";
import type { PeerTable } from "./peer_table.ts";
import type { ResponseSuppression } from "./response_suppression.ts";

/**
 * Challenges to unvalidated addresses, in a burst and per second, and responses. Forged ids cannot make the node send
 * more than that.
 */
const CHALLENGES_PER_SECOND = 128;
const RESPONSES_PER_SECOND = 1024;
/**
 * Challenges to joining nodes for whom the table has no room and that have sent none themselves, in a burst and per
 * second: one that responds finds room.
 */
const UNREGISTERED_CHALLENGES_PER_SECOND = 16;
/**
 * When a node that was heard and does not respond is challenged again, in milliseconds after the time before. After
 * that it is challenged when it is heard.
 */
export const CHALLENGE_AGAIN: readonly number[] = [100, 300, 900];
/**
 * How long a node that is about to leave waits for a response, and after how long it repeats the challenge, in
 * milliseconds.
 */
const RESPONSE_WITHIN = 300;
const REPEAT_AFTER = 100;
/** For how long an address without a response is then reported as unanswered, in milliseconds. */
const UNANSWERED_FOR = 2000;
/** How often the nodes that may have to be challenged again are checked, in milliseconds. */
const RETRY_EVERY = 100;

/** What a {@linkcode PathValidation} is made of. */
export interface PathValidationConfig {
  readonly clock: Clock;
  readonly randomBytes: RandomBytes;
  readonly peers: PeerTable;
  readonly paths: MulticastReachability;
  readonly suppression: ResponseSuppression;
  readonly heartbeats: HeartbeatTransport;
}

/** Sends path challenges, within limits, repeats those without a response, and responds to those of other nodes. */
export class PathValidation {
  readonly #config: PathValidationConfig;
  readonly #pathChallenges: PathChallenges;
  readonly #challengeLimit: TokenBucket;
  readonly #responseLimit: TokenBucket;
  readonly #unregisteredLimit: TokenBucket;
  /** Nodes that are to be challenged again. */
  readonly #outstanding = new Set<PeerEntry>();
  /** Challenges that were repeated to an address as the node was about to leave, by `host:port`. */
  readonly #repeats = new Map<string, number>();
  #timer: Timer | undefined;

  constructor(config: PathValidationConfig) {
    const { clock, randomBytes } = config;
    this.#config = config;
    this.#pathChallenges = new PathChallenges(clock, randomBytes);
    this.#challengeLimit = new TokenBucket(clock, CHALLENGES_PER_SECOND, CHALLENGES_PER_SECOND);
    this.#responseLimit = new TokenBucket(clock, RESPONSES_PER_SECOND, RESPONSES_PER_SECOND);
    this.#unregisteredLimit = new TokenBucket(
      clock,
      UNREGISTERED_CHALLENGES_PER_SECOND,
      UNREGISTERED_CHALLENGES_PER_SECOND,
    );
  }

  /** Sends a challenge to a node, or to an address for any node. It is not limited, nor counted for the node. */
  send(to: Endpoint, entry?: PeerEntry): void {
    const { heartbeats, paths } = this.#config;
    heartbeats.send({ path: paths.pathTo(entry), nonce: this.#pathChallenges.issue(to, entry?.id) }, to);
  }

  /** Challenges a node where it is reached, and again when it does not respond. */
  challenge(entry: PeerEntry): void {
    if (!this.#challengeLimit.allow()) return;
    this.#challengeAgainLater(entry);
    this.send(entry.endpoint, entry);
  }

  /** Challenges a node where it is reached, once: in a large mesh, all others may do so, too. */
  challengeOnce(entry: PeerEntry): void {
    if (!this.#challengeLimit.allow()) return;
    this.#count(entry);
    this.send(entry.endpoint, entry);
  }

  /** Challenges a node at another endpoint than that where it is reached. */
  challengeAt(entry: PeerEntry, to: Endpoint): void {
    if (this.#challengeLimit.allow()) this.send(to, entry);
  }

  /**
   * Responds to a joining node for whom there is no room, and challenges it: in the response, which is sent anyway, or
   * in a heartbeat of its own. One that has responded already finds no room all the same, so it is not challenged.
   */
  challengeUnregistered(source: Endpoint, id: string, nonce: number | undefined, isResponse: boolean): void {
    const { heartbeats, paths } = this.#config;
    const limit = nonce === undefined ? this.#unregisteredLimit : this.#responseLimit;
    if ((nonce === undefined && isResponse) || !limit.allow()) return;
    const challenge = isResponse ? {} : { nonce: this.#pathChallenges.issue(source, id) };
    heartbeats.send({ path: paths.pathTo(undefined), ...nonce !== undefined && { echo: nonce }, ...challenge }, source);
  }

  /**
   * A heartbeat of a departed node came, which may be a late copy. It is responded to, and the node is challenged if
   * `mayChallenge`: in the response, or in a heartbeat of its own.
   */
  challengeDeparted(source: Endpoint, id: string, nonce: number | undefined, mayChallenge: boolean): void {
    const { heartbeats, paths } = this.#config;
    const limit = nonce === undefined ? this.#challengeLimit : this.#responseLimit;
    if ((nonce === undefined && !mayChallenge) || !limit.allow()) return;
    const challenge = { nonce: this.#pathChallenges.issue(source, id) };
    heartbeats.send({ path: paths.pathTo(undefined), ...nonce !== undefined && { echo: nonce }, ...challenge }, source);
  }

  /** Sends a heartbeat to a joining plain node, so that it knows this node at once. */
  heartbeatPlain(entry: PeerEntry): void {
    const { heartbeats, paths } = this.#config;
    if (this.#challengeLimit.allow()) heartbeats.send({ path: paths.pathTo(entry) }, entry.endpoint);
  }

  /**
   * Responds to a challenge, to where it came from; with a challenge of its own, if the sender's path is not validated.
   * That one is repeated, but in a large mesh only when the sender has challenged again: its first challenge may have
   * been sent to all nodes.
   */
  respond(entry: PeerEntry, nonce: number, source: Endpoint, payload: HeartbeatPayload): void {
    const { heartbeats, paths, suppression } = this.#config;
    if (!this.#responseLimit.allow()) return;
    const own = entry.isValidated ? {} : { nonce: this.#pathChallenges.issue(source, entry.id) };
    if (!entry.isValidated) {
      // A node that suspects this one challenges it many times in a short while: the challenges that go back do not
      // count.
      const validation: ValidationState = entry.validation;
      if (validation.challengesSent > CHALLENGE_AGAIN.length) validation.challengedAt = this.#config.clock.now();
      else if (suppression.isSmall || validation.challengesSent > 0) this.#challengeAgainLater(entry);
      else this.#count(entry);
    }
    heartbeats.send({ path: paths.pathTo(entry), echo: nonce, ...own, ...payload }, source);
  }

  /** The challenge to which a node responds, if it got one with that nonce. */
  redeem(nonce: number | undefined, id: string): PathChallenge | undefined {
    const challenge = nonce === undefined ? undefined : this.#pathChallenges.redeem(nonce, id);
    // The node is not forged, so the challenge does not count: hundreds of nodes that join at once are all challenged.
    if (challenge !== undefined && this.#config.peers.get(id)?.isValidated === false) this.#challengeLimit.giveBack();
    return challenge;
  }

  /** A validated peer was heard from where it is reached, or has responded from there: the count begins anew. */
  reached({ validation }: PeerEntry): void {
    const state: ValidationState = validation;
    state.challengesSent = 0;
  }

  /** A response took so many milliseconds. Smoothed as TCP's round trip is (RFC 6298). */
  measured({ validation }: PeerEntry, time: number): void {
    const state: ValidationState = validation;
    state.roundTrip = state.roundTrip === 0 ? time : state.roundTrip + (time - state.roundTrip) / 8;
  }

  /** Whether a node or an address was challenged a short while ago and may still respond. */
  get isChallenging(): boolean {
    const { peers } = this.#config;
    for (const entry of this.#outstanding) if (!entry.isValidated && peers.get(entry.id) === entry) return true;
    return this.#open(RESPONSE_WITHIN).length > 0;
  }

  /** Addresses that others have named and from which no response has come. */
  get unanswered(): readonly Endpoint[] {
    return this.#open(UNANSWERED_FOR).map(({ to }) => to);
  }

  /**
   * Challenges once more, as the node is about to leave: addresses that others have named and that have not responded,
   * and peers whose peer exchange has not come.
   */
  repeat(withoutExchange: readonly PeerEntry[]): void {
    const now = this.#config.clock.now();
    for (const { to, sentAt } of this.#open(RESPONSE_WITHIN)) {
      const name = formatEndpoint(to);
      if (now - sentAt < REPEAT_AFTER || (this.#repeats.get(name) ?? 0) > 1 || !this.#challengeLimit.allow()) continue;
      this.#repeats.set(name, (this.#repeats.get(name) ?? 0) + 1);
      this.send(to);
    }
    for (const entry of withoutExchange) {
      const { path: { validatedAt }, validation: { challengedAt } } = entry;
      if (now - Math.max(challengedAt, validatedAt) >= REPEAT_AFTER) this.challenge(entry);
    }
  }

  /** Sends no more challenges of its own accord. */
  close(): void {
    this.#timer?.cancel();
    this.#outstanding.clear();
    this.#pathChallenges.clear();
  }

  #open(within: number): readonly PathChallenge[] {
    const { clock, peers } = this.#config;
    const known = new Set(peers.endpoints().map(formatEndpoint));
    return this.#pathChallenges.openSince(clock.now() - within)
      .filter(({ to }) => !known.has(formatEndpoint(to)));
  }

  #challengeAgainLater(entry: PeerEntry): void {
    const { clock } = this.#config;
    this.#count(entry);
    this.#outstanding.add(entry);
    this.#timer ??= clock.setTimer(() => this.#retry(), RETRY_EVERY);
  }

  #count(entry: PeerEntry): void {
    const validation: ValidationState = entry.validation;
    validation.challengesSent++;
    validation.challengedAt = this.#config.clock.now();
  }

  #retry(): void {
    const { clock, peers } = this.#config;
    this.#timer = undefined;
    for (const entry of [...this.#outstanding]) {
      const { challengesSent, challengedAt } = entry.validation;
      const pause = CHALLENGE_AGAIN[challengesSent - 1];
      const isOver = pause === undefined || challengesSent === 0 || peers.get(entry.id) !== entry;
      if (isOver) this.#outstanding.delete(entry);
      else if (clock.now() - challengedAt >= pause) this.challenge(entry);
    }
    if (this.#outstanding.size > 0) this.#timer ??= clock.setTimer(() => this.#retry(), RETRY_EVERY);
  }
}
