/**
 * Address-validation tokens: which requesters have shown that they receive at their address, and how many answers each
 * gets.
 *
 * Kin to the tokens of QUIC (RFC 9000, section 8): before its address is validated, a requester gets no
 * retransmissions, which would amplify what it sends.
 *
 * @module
 */

import type { Clock } from "../platform/clock.ts";
import { type Endpoint, isSameEndpoint } from "../platform/endpoint.ts";
import type { RandomBytes } from "../platform/host.ts";
import { TokenBucket } from "../platform/token_bucket.ts";
import { TOKEN_LENGTH } from "../wire/layout.ts";
import { equalBytes } from "../wire/packet.ts";

/**
 * Answers a second, retransmissions not counted: to requesters that bring their token, to other peers, and to unknown
 * nodes. Each kind has a limit of its own, so that none uses up what is for the others.
 */
const ANSWERS_PER_SECOND = { validated: 2000, peer: 256, unknown: 128 };

/** Most unknown nodes whose tokens are kept. The oldest gives way; its owner gets another with its next request. */
const MAX_UNKNOWN = 1024;

/** A node that may send requests, and the endpoint to which it is answered. */
export interface Requester {
  readonly id: string;
  readonly endpoint: Endpoint;
}

/** A requester with the right token, a peer without it, or an unknown node. */
export type RequesterState = keyof typeof ANSWERS_PER_SECOND;

/** A {@linkcode Requester}, and what it has shown. */
export interface KnownRequester extends Requester {
  readonly state: RequesterState;
  /** Whether its address is validated, by the token or by path validation. */
  readonly isValidated: boolean;
}

/** The peers, as {@linkcode ValidationTokens} need them. */
export interface RequesterLookup {
  /** A peer of which a heartbeat was heard. */
  get(id: string): (Requester & { readonly isValidated?: boolean }) | undefined;
}

/** What {@linkcode ValidationTokens} are made of. */
export interface ValidationTokensConfig {
  readonly clock: Clock;
  readonly randomBytes: RandomBytes;
  readonly peers: () => RequesterLookup;
}

interface IssuedToken {
  readonly token: Uint8Array;
  readonly endpoint: Endpoint;
}

/**
 * Issues the tokens and checks them. Each requester gets a token of its own, which is sent to its address alone. A
 * requester that brings its token receives at that address, so it may be sent more bytes than it has sent.
 */
export class ValidationTokens {
  readonly #config: ValidationTokensConfig;
  readonly #answers: Readonly<Record<RequesterState, TokenBucket>>;
  readonly #peers = new Map<string, IssuedToken>();
  readonly #unknown = new Map<string, IssuedToken>();

  constructor(config: ValidationTokensConfig) {
    const { clock } = config;
    const { validated, peer, unknown } = ANSWERS_PER_SECOND;
    this.#config = config;
    this.#answers = {
      validated: new TokenBucket(clock, validated, validated),
      peer: new TokenBucket(clock, peer, peer),
      unknown: new TokenBucket(clock, unknown, unknown),
    };
  }

  /**
   * The requester of a packet from `source`: a peer is answered at the endpoint of its heartbeats, another node where
   * its packet came from.
   */
  identify(id: string, source: Endpoint, token: Uint8Array | undefined): KnownRequester {
    const peer = this.#config.peers().get(id);
    const { endpoint } = peer ?? { endpoint: source };
    const issued = (peer === undefined ? this.#unknown : this.#peers).get(id);
    const isValidated = token !== undefined && issued !== undefined && isSameEndpoint(issued.endpoint, endpoint) &&
      equalBytes(issued.token, token);
    const state = isValidated ? "validated" : peer === undefined ? "unknown" : "peer";
    return { id, endpoint, state, isValidated: isValidated || peer?.isValidated === true };
  }

  /** Whether one more answer is within the limit. */
  mayRespond({ state }: KnownRequester): boolean {
    return this.#answers[state].allow();
  }

  /** The token of a requester at its present endpoint. */
  tokenFor({ id, endpoint }: Requester): Uint8Array {
    const { peers, randomBytes } = this.#config;
    const tokens = peers().get(id) === undefined ? this.#unknown : this.#peers;
    const issued = tokens.get(id);
    if (issued !== undefined && isSameEndpoint(issued.endpoint, endpoint)) return issued.token;
    const token = randomBytes(TOKEN_LENGTH).slice();
    tokens.set(id, { token, endpoint });
    const [oldest] = this.#unknown.keys();
    if (this.#unknown.size > MAX_UNKNOWN && oldest !== undefined) this.#unknown.delete(oldest);
    return token;
  }

  /** A peer has departed. */
  forget(id: string): void {
    this.#peers.delete(id);
  }

  /** Keeps nothing. */
  close(): void {
    this.#peers.clear();
    this.#unknown.clear();
  }
}
