/**
 * Questions and answers by which nodes show each other where they are.
 *
 * @module
 */

import type { Clock, Timer } from "../platform/clock.ts";
import { type Endpoint, formatAddress } from "../platform/endpoint.ts";
import type { RandomBytes } from "../platform/host.ts";
import { RateLimit } from "../platform/token_bucket.ts";
import type { Extension } from "../wire/extension.ts";
import type { Paths } from "./multicast_reachability.ts";
import { type Challenge, Challenges } from "./path_challenges.ts";
import type { PeerEntry } from "./peer.ts";
import type { PeerTable } from "./peer_table.ts";
import type { Crowd } from "./response_suppression.ts";

/**
 * Questions to nodes that have not answered, in a burst and per second, and answers to theirs. Forged ids cannot make the
 * node send more than that.
 */
const QUESTIONS_PER_SECOND = 128;
const ANSWERS_PER_SECOND = 1024;
/** Newcomers to a full table that ask nothing and are asked where they are, in a burst and per second: who answers finds room. */
const REFUSED_QUESTIONS_PER_SECOND = 16;
/**
 * When a node that was heard, and does not answer, is asked again, in milliseconds after the time before. Then it is asked
 * when it is heard.
 */
export const ASK_AGAIN: readonly number[] = [100, 300, 900];
/** How long an answer is waited for by a node that is about to leave, and after how long it asks once more, in milliseconds. */
const PATIENCE = 300;
const INSIST_AFTER = 100;
/** How long somebody counts as unanswered then. */
const LONG_PATIENCE = 2000;
/** How often it is looked whether somebody is to be asked again, in milliseconds. */
const RETRY_EVERY = 100;

/** What a heartbeat says behind its body, besides where the node's stream is. */
export type Saying = Pick<Extension, "nonce" | "echo" | "path" | "heard" | "peers" | "token">;

/** What a {@linkcode Handshake} is made of. The callbacks MUST NOT throw. */
export interface HandshakeConfig {
  readonly clock: Clock;
  readonly randomBytes: RandomBytes;
  readonly peers: PeerTable;
  readonly paths: Paths;
  readonly crowd: Crowd;
  /** Sends a heartbeat that says this. */
  readonly say: (saying: Saying, to: Endpoint) => void;
}

/** One per node. */
export class Handshake {
  readonly #config: HandshakeConfig;
  readonly #challenges: Challenges;
  readonly #questions: RateLimit;
  readonly #answers: RateLimit;
  readonly #refusedQuestions: RateLimit;
  /** Those that are asked again. */
  readonly #asked = new Set<PeerEntry>();
  /** How often an address was asked once more on leaving. */
  readonly #insisted = new Map<string, number>();
  #timer: Timer | undefined;

  constructor(config: HandshakeConfig) {
    const { clock, randomBytes } = config;
    this.#config = config;
    this.#challenges = new Challenges(clock, randomBytes);
    this.#questions = new RateLimit(clock, QUESTIONS_PER_SECOND, QUESTIONS_PER_SECOND);
    this.#answers = new RateLimit(clock, ANSWERS_PER_SECOND, ANSWERS_PER_SECOND);
    this.#refusedQuestions = new RateLimit(clock, REFUSED_QUESTIONS_PER_SECOND, REFUSED_QUESTIONS_PER_SECOND);
  }

  /** Asks a node, or whoever is at an address. */
  ask(to: Endpoint, entry?: PeerEntry): void {
    const { paths, say } = this.#config;
    say({ path: paths.pathTo(entry), nonce: this.#challenges.issue(to, entry?.id) }, to);
  }

  /** Asks a node whether it is where it was heard, and again when it does not answer. */
  hello(entry: PeerEntry): void {
    if (!this.#questions.allow()) return;
    this.#note(entry);
    this.ask(entry.endpoint, entry);
  }

  /** Asks a node once whether it is where it was heard: in a large mesh, all others may be asking it. */
  askOnce(entry: PeerEntry): void {
    if (!this.#questions.allow()) return;
    this.#count(entry);
    this.ask(entry.endpoint, entry);
  }

  /** Asks a node at another place than where it is taken to be. */
  tryAt(entry: PeerEntry, to: Endpoint): void {
    if (this.#questions.allow()) this.ask(to, entry);
  }

  /**
   * Answers a newcomer for whom there is no room, and asks it where it is: in the answer, which is sent anyway, or by
   * itself. One that has answered, and finds no room all the same, is asked in vain.
   */
  meetRefused(source: Endpoint, id: string, nonce: number | undefined, isProof: boolean): void {
    const { paths, say } = this.#config;
    const limit = nonce === undefined ? this.#refusedQuestions : this.#answers;
    if ((nonce === undefined && isProof) || !limit.allow()) return;
    const question = isProof ? {} : { nonce: this.#challenges.issue(source, id) };
    say({ path: paths.pathTo(undefined), ...nonce !== undefined && { echo: nonce }, ...question }, source);
  }

  /**
   * A node that is gone is heard, or it is a late copy: it is answered, and asked whether it is there if `mayAsk`, in the answer
   * or by itself.
   */
  meetGone(source: Endpoint, id: string, nonce: number | undefined, mayAsk: boolean): void {
    const { paths, say } = this.#config;
    const limit = nonce === undefined ? this.#questions : this.#answers;
    if ((nonce === undefined && !mayAsk) || !limit.allow()) return;
    const question = { nonce: this.#challenges.issue(source, id) };
    say({ path: paths.pathTo(undefined), ...nonce !== undefined && { echo: nonce }, ...question }, source);
  }

  /** A newcomer that does not speak the extension hears of this node at once. */
  greetPlain(entry: PeerEntry): void {
    const { paths, say } = this.#config;
    if (this.#questions.allow()) say({ path: paths.pathTo(entry) }, entry.endpoint);
  }

  /**
   * Answers a question, to where it came from; with one of its own, if the asker is not proven. That is asked again, but in
   * a large mesh only when the asker asks again: its first question may have been sent to all.
   */
  answer(entry: PeerEntry, nonce: number, source: Endpoint, more: Saying): void {
    const { crowd, paths, say } = this.#config;
    if (!this.#answers.allow()) return;
    const own = entry.isProven ? {} : { nonce: this.#challenges.issue(source, entry.id) };
    if (!entry.isProven) {
      // Who asks many times in a short while, as it suspects this node, is not asked many times in vain by that.
      if (entry.hellos > ASK_AGAIN.length) entry.helloAt = this.#config.clock.now();
      else if (crowd.isSmall || entry.hellos > 0) this.#note(entry);
      else this.#count(entry);
    }
    say({ path: paths.pathTo(entry), echo: nonce, ...own, ...more }, source);
  }

  /** The question that a node answers, if it was asked that. */
  redeem(nonce: number | undefined, id: string): Challenge | undefined {
    const challenge = nonce === undefined ? undefined : this.#challenges.redeem(nonce, id);
    // It was no invention, so the question does not count: hundreds that come at once are all asked.
    if (challenge !== undefined && this.#config.peers.get(id)?.isProven === false) this.#questions.giveBack();
    return challenge;
  }

  /** Whether somebody was asked a short while ago who has neither answered nor been given up. */
  get isAsking(): boolean {
    const { peers } = this.#config;
    for (const entry of this.#asked) if (!entry.isProven && peers.get(entry.id) === entry) return true;
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
  insist(unwelcomed: readonly PeerEntry[]): void {
    const now = this.#config.clock.now();
    for (const { to, sentAt } of this.#open(PATIENCE)) {
      const name = formatAddress(to.host, to.port);
      if (now - sentAt < INSIST_AFTER || (this.#insisted.get(name) ?? 0) > 1 || !this.#questions.allow()) continue;
      this.#insisted.set(name, (this.#insisted.get(name) ?? 0) + 1);
      this.ask(to);
    }
    for (const entry of unwelcomed) {
      if (now - Math.max(entry.helloAt, entry.provenAt) >= INSIST_AFTER) this.hello(entry);
    }
  }

  /** Asks nothing more. */
  close(): void {
    this.#timer?.cancel();
    this.#asked.clear();
    this.#challenges.clear();
  }

  #open(within: number): readonly Challenge[] {
    const { clock, peers } = this.#config;
    const known = new Set(peers.endpoints().map(({ host, port }) => formatAddress(host, port)));
    return this.#challenges.openSince(clock.now() - within)
      .filter(({ to }) => !known.has(formatAddress(to.host, to.port)));
  }

  #note(entry: PeerEntry): void {
    const { clock } = this.#config;
    this.#count(entry);
    this.#asked.add(entry);
    this.#timer ??= clock.setTimer(() => this.#retry(), RETRY_EVERY);
  }

  #count(entry: PeerEntry): void {
    entry.hellos++;
    entry.helloAt = this.#config.clock.now();
  }

  #retry(): void {
    const { clock, peers } = this.#config;
    this.#timer = undefined;
    for (const entry of [...this.#asked]) {
      const pause = ASK_AGAIN[entry.hellos - 1];
      const isOver = pause === undefined || entry.hellos === 0 || peers.get(entry.id) !== entry;
      if (isOver) this.#asked.delete(entry);
      else if (clock.now() - entry.helloAt >= pause) this.hello(entry);
    }
    if (this.#asked.size > 0) this.#timer ??= clock.setTimer(() => this.#retry(), RETRY_EVERY);
  }
}
