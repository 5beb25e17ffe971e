/**
 * The seeds of a mesh, and where they are now.
 *
 * @module
 */

import { type Endpoint, formatAddress, isIpv4 } from "./address.ts";
import type { Clock, Timer } from "./clock.ts";
import type { Resolve } from "./host.ts";
import type { Seed } from "./options.ts";

/** Time after which a name is looked up again, in milliseconds: the TTL that cluster DNS commonly gives. */
export const RESOLVE_INTERVAL = 30_000;

/** First pause after a look-up that failed, in milliseconds; it doubles up to {@linkcode RESOLVE_INTERVAL}. */
export const RESOLVE_RETRY = 1_000;

/** What {@linkcode Seeds} are made of. */
export interface SeedsConfig {
  readonly seeds: readonly Seed[];
  /** Port of the seeds that name none. */
  readonly port: number;
  readonly clock: Clock;
  readonly resolve: Resolve;
  /** Called with places that were not known before. */
  readonly onFound: (endpoints: readonly Endpoint[]) => void;
  /** Called when a look-up has failed. It is tried again. */
  readonly onError: (error: Error) => void;
}

/** Literals are known at once; names are looked up in the background, again and again, and never block anyone. */
export class Seeds {
  readonly #config: SeedsConfig;
  readonly #found = new Map<Seed, readonly Endpoint[]>();
  readonly #timers = new Map<Seed, Timer>();
  #endpoints: readonly Endpoint[];
  #closed = false;

  constructor(config: SeedsConfig) {
    this.#config = config;
    for (const seed of config.seeds) {
      if (isIpv4(seed.host)) this.#found.set(seed, [{ host: seed.host, port: seed.port || config.port }]);
    }
    this.#endpoints = this.#unique();
  }

  /** Begins to look names up. */
  start(): void {
    for (const seed of this.#config.seeds) {
      if (!isIpv4(seed.host)) void this.#lookUp(seed, RESOLVE_RETRY);
    }
  }

  /** Where the seeds are, as far as is known: each endpoint once, though several names may lead to it. */
  endpoints(): readonly Endpoint[] {
    return this.#endpoints;
  }

  /** Looks nothing up any more. */
  close(): void {
    this.#closed = true;
    for (const timer of this.#timers.values()) timer.cancel();
    this.#timers.clear();
  }

  async #lookUp(seed: Seed, retry: number): Promise<void> {
    let failure: Error | undefined;
    try {
      this.#update(seed, await this.#config.resolve(seed.host));
    } catch (cause) {
      failure = new Error(`Cannot look up the seed ${JSON.stringify(seed.text)}`, { cause });
    }
    if (this.#closed) return;
    if (failure !== undefined) this.#config.onError(failure);
    const pause = failure === undefined ? RESOLVE_INTERVAL : Math.min(retry, RESOLVE_INTERVAL);
    const next = failure === undefined ? RESOLVE_RETRY : retry * 2;
    this.#timers.set(seed, this.#config.clock.setTimer(() => void this.#lookUp(seed, next), pause));
  }

  #update(seed: Seed, addresses: readonly string[]): void {
    if (this.#closed) return;
    const hosts = addresses.filter(isIpv4);
    if (hosts.length === 0) throw new Error(`It has no IPv4 address: current addresses are [${addresses}]`);
    const before = new Set(this.#endpoints.map(({ host, port }) => formatAddress(host, port)));
    this.#found.set(seed, hosts.map((host) => ({ host, port: seed.port || this.#config.port })));
    this.#endpoints = this.#unique();
    const found = this.#endpoints.filter(({ host, port }) => !before.has(formatAddress(host, port)));
    if (found.length > 0) this.#config.onFound(found);
  }

  #unique(): readonly Endpoint[] {
    const all = [...this.#found.values()].flat();
    return [...new Map(all.map((endpoint) => [formatAddress(endpoint.host, endpoint.port), endpoint])).values()];
  }
}
