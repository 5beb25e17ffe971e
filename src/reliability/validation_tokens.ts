/**
 * Who asks a node for something, and what each may be answered.
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
 * Answers to requests a second, without repairs: to those who bring the token, to other peers, and to strangers. Nobody can
 * use up what is for the others.
 */
const ANSWERS_PER_SECOND = { validated: 2000, peer: 256, unknown: 128 };

/** Most strangers whose tokens are kept. Who has had one for longest loses it, and gets another when it asks. */
const MAX_STRANGERS = 1024;

/** A node that may ask, and where it is answered. */
export interface Asker {
  readonly id: string;
  readonly endpoint: Endpoint;
}

/** With the right token, as a peer without it, or as somebody else. */
export type Standing = keyof typeof ANSWERS_PER_SECOND;

/** An {@linkcode Asker}, and what it has shown. */
export interface KnownAsker extends Asker {
  readonly standing: Standing;
  /** Whether it has shown that it is there, by the token or otherwise. */
  readonly isValidated: boolean;
}

/** What {@linkcode ValidationTokens} are made of. */
export interface ValidationTokensConfig {
  readonly clock: Clock;
  readonly randomBytes: RandomBytes;
  /** A peer, when a heartbeat of it was heard. */
  readonly peer: (id: string) => (Asker & { readonly isValidated?: boolean }) | undefined;
}

interface Proof {
  readonly token: Uint8Array;
  readonly endpoint: Endpoint;
}

/**
 * Gives each asker a token, sent to its address alone. Who brings it has shown that it listens there, and may be sent more
 * than it asked with.
 */
export class ValidationTokens {
  readonly #config: ValidationTokensConfig;
  readonly #answers: Readonly<Record<Standing, TokenBucket>>;
  readonly #peers = new Map<string, Proof>();
  readonly #unknown = new Map<string, Proof>();

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

  /** Who asks from `source`: a peer at the address of its heartbeats, another where it asks from. */
  identify(id: string, source: Endpoint, token: Uint8Array | undefined): KnownAsker {
    const peer = this.#config.peer(id);
    const { endpoint } = peer ?? { endpoint: source };
    const proof = (peer === undefined ? this.#unknown : this.#peers).get(id);
    const isValidated = token !== undefined && proof !== undefined && isSameEndpoint(proof.endpoint, endpoint) &&
      equalBytes(proof.token, token);
    const standing = isValidated ? "validated" : peer === undefined ? "unknown" : "peer";
    return { id, endpoint, standing, isValidated: isValidated || peer?.isValidated === true };
  }

  /** Whether one more answer is within the rate. */
  mayAnswer({ standing }: KnownAsker): boolean {
    return this.#answers[standing].allow();
  }

  /** The token of an asker at its present address. */
  tokenFor({ id, endpoint }: Asker): Uint8Array {
    const { peer, randomBytes } = this.#config;
    const proofs = peer(id) === undefined ? this.#unknown : this.#peers;
    const proof = proofs.get(id);
    if (proof !== undefined && isSameEndpoint(proof.endpoint, endpoint)) return proof.token;
    const token = randomBytes(TOKEN_LENGTH).slice();
    proofs.set(id, { token, endpoint });
    const [oldest] = this.#unknown.keys();
    if (this.#unknown.size > MAX_STRANGERS && oldest !== undefined) this.#unknown.delete(oldest);
    return token;
  }

  /** A peer is gone. */
  forget(id: string): void {
    this.#peers.delete(id);
  }

  /** Keeps nothing. */
  close(): void {
    this.#peers.clear();
    this.#unknown.clear();
  }
}
