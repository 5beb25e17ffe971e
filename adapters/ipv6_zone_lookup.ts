/**
 * IPv6 zone look-up: finds the zone of link-local source addresses, which Deno does not report.
 *
 * @module
 */

import { isLinkLocal } from "../src/platform/endpoint.ts";
import { linkLocalInterfaces } from "./interface_names.ts";
import { now } from "./system_clock.ts";

// Listing the interfaces takes 40 µs.
const LOOK_EVERY_MS = 1000;

/**
 * Adds the zone to link-local source addresses on Deno, which does not report it
 * (`findings/deno_link_local_without_scope.sh`). It is the zone of the socket if that has one, else the only interface
 * that there is. With several interfaces it is unknown: the source then has no zone, and an ack leaves by the interface
 * that the system takes first.
 */
export class ZoneGuess {
  readonly #own: string | undefined;
  #only: string | undefined;
  #looked = -Infinity;

  /** `own` is the interface that the socket is bound to or sends by. */
  constructor(own: string | undefined) {
    this.#own = own;
  }

  complete(source: string): string {
    if (!isLinkLocal(source) || source.includes("%")) return source;
    const zone = this.#own ?? this.#find();
    return zone === undefined ? source : `${source}%${zone}`;
  }

  #find(): string | undefined {
    const time = now();
    if (time < this.#looked + LOOK_EVERY_MS) return this.#only;
    this.#looked = time;
    try {
      const [first, ...more] = linkLocalInterfaces();
      this.#only = more.length === 0 ? first : undefined;
    } catch {
      // Listing the interfaces is not permitted.
      this.#only = undefined;
    }
    return this.#only;
  }
}
