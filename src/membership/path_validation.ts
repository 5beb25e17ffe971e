/**
 * Questions and answers by which nodes show each other where they are.
 *
 * @module
 */

import type { Clock, Timer } from "../platform/clock.ts";
import { type Endpoint, formatAddress } from "../platform/endpoint.ts";
import type { RandomBytes } from "../platform/host.ts";
import { TokenBucket } from "../platform/token_bucket.ts";
import type { Extension } from "../wire/extension.ts";
import type { MulticastReachability } from "./multicast_reachability.ts";
import { type PathChallenge, PathChallenges } from "./path_challenges.ts";
import type { PeerEntry, ValidationState } from "./peer.ts";
import type { PeerTable } from "./peer_table.ts";
import type { ResponseSuppression } from "./response_suppression.ts";

/**
 * Questions to nodes that have not answered, in a burst and per second, and answers to theirs. Forged ids cannot make the
 * node send more than that.
 */
const CHALLENGES_PER_SECOND = 128;
const RESPONSES_PER_SECOND = 1024;
/** Newcomers to a full table that ask nothing and are asked where they are, in a burst and per second: who answers finds room. */
const UNREGISTERED_CHALLENGES_PER_SECOND = 16;
/**
 * When a node that was heard, and does not answer, is asked again, in milliseconds after the time before. Then it is asked
 * when it is heard.
 */
export const CHALLENGE_AGAIN: readonly number[] = [100, 300, 900];
/** How long an answer is waited for by a node that is about to leave, and after how long it asks once more, in milliseconds. */
const PATIENCE = 300;
const REPEAT_AFTER = 100;
/** How long somebody counts as unanswered then. */
const LONG_PATIENCE = 2000;
/** How often it is looked whether somebody is to be asked again, in milliseconds. */
const RETRY_EVERY = 100;

/** What a heartbeat says behind its body, besides where the node's stream is. */
export type HeartbeatPayload = Pick<Extension, "nonce" | "echo" | "path" | "heard" | "peers" | "token">;

/** What a {@linkcode PathValidation} is made of. The callbacks MUST NOT throw. */
export interface PathValidationConfig {
  readonly clock: Clock;
  readonly randomBytes: RandomBytes;
  readonly peers: PeerTable;
  readonly paths: MulticastReachability;
  readonly suppression: ResponseSuppression;
  /** Sends a heartbeat that says this. */
  readonly sendHeartbeat: (saying: HeartbeatPayload, to: Endpoint) => void;
}

/** One per node. */
export class PathValidation {
  readonly #config: PathValidationConfig;
  readonly #pathChallenges: PathChallenges;
  readonly #challengeLimit: TokenBucket;
  readonly #responseLimit: TokenBucket;
  readonly #unregisteredLimit: TokenBucket;
  /** Those that are asked again. */
  readonly #outstanding = new Set<PeerEntry>();
  /** How often an address was asked once more on leaving. */
  readonly #repeated = new Map<string, number>();
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

  /** Asks a node, or whoever is at an address. */
  send(to: Endpoint, entry?: PeerEntry): void {
    const { paths, sendHeartbeat: say } = this.#config;
    say({ path: paths.pathTo(entry), nonce: this.#pathChallenges.issue(to, entry?.id) }, to);
  }

  /** Asks a node whether it is where it was heard, and again when it does not answer. */
  challenge(entry: PeerEntry): void {
    if (!this.#challengeLimit.allow()) return;
    this.#note(entry);
    this.send(entry.endpoint, entry);
  }

  /** Asks a node once whether it is where it was heard: in a large mesh, all others may be asking it. */
  challengeOnce(entry: PeerEntry): void {
    if (!this.#challengeLimit.allow()) return;
    this.#count(entry);
    this.send(entry.endpoint, entry);
  }

  /** Asks a node at another place than where it is taken to be. */
  challengeAt(entry: PeerEntry, to: Endpoint): void {
    if (this.#challengeLimit.allow()) this.send(to, entry);
  }

  /**
   * Answers a newcomer for whom there is no room, and asks it where it is: in the answer, which is sent anyway, or by
   * itself. One that has answered, and finds no room all the same, is asked in vain.
   */
  challengeUnregistered(source: Endpoint, id: string, nonce: number | undefined, isResponse: boolean): void {
    const { paths, sendHeartbeat: say } = this.#config;
    const limit = nonce === undefined ? this.#unregisteredLimit : this.#responseLimit;
    if ((nonce === undefined && isResponse) || !limit.allow()) return;
    const question = isResponse ? {} : { nonce: this.#pathChallenges.issue(source, id) };
    say({ path: paths.pathTo(undefined), ...nonce !== undefined && { echo: nonce }, ...question }, source);
  }

  /**
   * A node that is gone is heard, or it is a late copy: it is answered, and asked whether it is there if `mayAsk`, in the answer
   * or by itself.
   */
  challengeDeparted(source: Endpoint, id: string, nonce: number | undefined, mayAsk: boolean): void {
    const { paths, sendHeartbeat: say } = this.#config;
    const limit = nonce === undefined ? this.#challengeLimit : this.#responseLimit;
    if ((nonce === undefined && !mayAsk) || !limit.allow()) return;
    const question = { nonce: this.#pathChallenges.issue(source, id) };
    say({ path: paths.pathTo(undefined), ...nonce !== undefined && { echo: nonce }, ...question }, source);
  }

  /** A newcomer that does not speak the extension hears of this node at once. */
  heartbeatPlain(entry: PeerEntry): void {
    const { paths, sendHeartbeat: say } = this.#config;
    if (this.#challengeLimit.allow()) say({ path: paths.pathTo(entry) }, entry.endpoint);
  }

  /**
   * Answers a question, to where it came from; with one of its own, if the asker is not proven. That is asked again, but in
   * a large mesh only when the asker asks again: its first question may have been sent to all.
   */
  respond(entry: PeerEntry, nonce: number, source: Endpoint, more: HeartbeatPayload): void {
    const { suppression, paths, sendHeartbeat: say } = this.#config;
    if (!this.#responseLimit.allow()) return;
    const own = entry.isValidated ? {} : { nonce: this.#pathChallenges.issue(source, entry.id) };
    if (!entry.isValidated) {
      // Who asks many times in a short while, as it suspects this node, is not asked many times in vain by that.
      const validation: ValidationState = entry.validation;
      if (validation.challengesSent > CHALLENGE_AGAIN.length) validation.challengedAt = this.#config.clock.now();
      else if (suppression.isSmall || validation.challengesSent > 0) this.#note(entry);
      else this.#count(entry);
    }
    say({ path: paths.pathTo(entry), echo: nonce, ...own, ...more }, source);
  }

  /** The question that a node answers, if it was asked that. */
  redeem(nonce: number | undefined, id: string): PathChallenge | undefined {
    const challenge = nonce === undefined ? undefined : this.#pathChallenges.redeem(nonce, id);
    // It was no invention, so the question does not count: hundreds that come at once are all asked.
    if (challenge !== undefined && this.#config.peers.get(id)?.isValidated === false) this.#challengeLimit.giveBack();
    return challenge;
  }

  /** A peer was heard from where it is reached, and has answered from there, now or before: the count begins anew. */
  reached({ validation }: PeerEntry): void {
    const state: ValidationState = validation;
    state.challengesSent = 0;
  }

  /** A response took so many milliseconds. Smoothed as TCP's round trip is (RFC 6298). */
  measured({ validation }: PeerEntry, time: number): void {
    const state: ValidationState = validation;
    state.roundTrip = state.roundTrip === 0 ? time : state.roundTrip + (time - state.roundTrip) / 8;
  }

  /** Whether somebody was asked a short while ago who has neither answered nor been given up. */
  get isChallenging(): boolean {
    const { peers } = this.#config;
    for (const entry of this.#outstanding) if (!entry.isValidated && peers.get(entry.id) === entry) return true;
    return this.#open(PATIENCE).length > 0;
  }

  /** Where somebody was asked that others had told of, and has not answered. */
  get unanswered(): readonly Endpoint[] {
    return this.#open(LONG_PATIENCE).map(({ to }) => to);
  }

  /**
   * Asks once more, as the node is about to leave: where others have told of somebody who has not answered yet, and peers
   * whose welcome was lost.
   */
  repeat(withoutExchange: readonly PeerEntry[]): void {
    const now = this.#config.clock.now();
    for (const { to, sentAt } of this.#open(PATIENCE)) {
      const name = formatAddress(to.host, to.port);
      if (now - sentAt < REPEAT_AFTER || (this.#repeated.get(name) ?? 0) > 1 || !this.#challengeLimit.allow()) continue;
      this.#repeated.set(name, (this.#repeated.get(name) ?? 0) + 1);
      this.send(to);
    }
    for (const entry of withoutExchange) {
      const { path: { validatedAt }, validation: { challengedAt } } = entry;
      if (now - Math.max(challengedAt, validatedAt) >= REPEAT_AFTER) this.challenge(entry);
    }
  }

  /** Asks nothing more. */
  close(): void {
    this.#timer?.cancel();
    this.#outstanding.clear();
    this.#pathChallenges.clear();
  }

  #open(within: number): readonly PathChallenge[] {
    const { clock, peers } = this.#config;
    const known = new Set(peers.endpoints().map(({ host, port }) => formatAddress(host, port)));
    return this.#pathChallenges.openSince(clock.now() - within)
      .filter(({ to }) => !known.has(formatAddress(to.host, to.port)));
  }

  #note(entry: PeerEntry): void {
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
