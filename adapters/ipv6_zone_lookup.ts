import { isLinkLocal } from "../src/platform/endpoint.ts";
import { linkLocalInterfaces } from "./interface_names.ts";
import { now } from "./system_clock.ts";

// A look at the interfaces takes 40 µs.
const LOOK_EVERY_MS = 1000;

/**
 * Adds the zone to link-local sources for Deno, which does not tell it
 * (`findings/deno_link_local_without_scope.sh`): that of the socket where it has one, else the
 * only interface that there is. With several, nobody knows: the source then has no zone, and an answer leaves by the
 * interface that the system takes for the first.
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
      // Not permitted.
      this.#only = undefined;
    }
    return this.#only;
  }
}
