/**
 * Group memberships: joins and leaves the multicast groups of one socket.
 *
 * @module
 */

import type { Family } from "../src/platform/endpoint.ts";
import { codeOf } from "../src/platform/error_message.ts";
import { checkMembership, multicastError } from "./bind_error.ts";
import { hasInterface, runtimeName } from "./interface_names.ts";

/** How a runtime joins and leaves groups; `at` is a {@linkcode runtimeName}. The functions throw or reject. */
export interface MembershipApi {
  add(group: string, at: string | undefined): unknown;
  drop(group: string, at: string | undefined): unknown;
}

/**
 * Memberships of one socket: implements `join` and `leave` of {@linkcode DatagramSocket}, in the order of the
 * calls.
 *
 * The system keeps memberships by the index of the interface, and an interface that comes back has another index. A
 * membership on the old index ends only if the socket leaves the group while the interface is gone. Linux allows 20 at
 * a time for IPv4.
 */
export class Memberships {
  readonly #family: Family;
  readonly #api: MembershipApi;
  /** Joined groups as `group%interface`. */
  readonly #joined = new Set<string>();
  #last: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(family: Family, api: MembershipApi) {
    this.#family = family;
    this.#api = api;
  }

  join(group: string, multicastInterface: string | undefined): Promise<void> {
    return this.#inTurn("join", group, multicastInterface, async (key) => {
      try {
        const at = multicastInterface === undefined ? undefined : runtimeName(this.#family, multicastInterface);
        await this.#api.add(group, at);
      } catch (error) {
        if (!this.#isJoined(error, key, multicastInterface)) {
          throw multicastError(error, { joinGroup: group, multicastInterface });
        }
      }
      this.#joined.add(key);
    });
  }

  leave(group: string, multicastInterface: string | undefined): Promise<void> {
    return this.#inTurn("leave", group, multicastInterface, async (key) => {
      this.#joined.delete(key);
      try {
        await this.#api.drop(group, this.#placeToLeave(group, multicastInterface));
      } catch {
        // It was not joined there, or is not any more. The runtimes have no common error for it.
      }
    });
  }

  close(): void {
    this.#closed = true;
  }

  #inTurn(
    action: "join" | "leave",
    group: string,
    multicastInterface: string | undefined,
    step: (key: string) => Promise<void>,
  ): Promise<void> {
    const done = this.#last.then(async () => {
      if (this.#closed) throw new Error(`Cannot ${action} a multicast group as the socket is closed`);
      checkMembership(this.#family, group, multicastInterface);
      await step(`${group}%${multicastInterface ?? ""}`);
    });
    this.#last = done.catch(() => {});
    return done;
  }

  /** Whether the group is still joined: Deno's `node:dgram` fails with EINVAL for every reason. */
  #isJoined(error: unknown, key: string, multicastInterface: string | undefined): boolean {
    const code = codeOf(error);
    if (code === "EADDRINUSE") return true;
    if (code !== "EINVAL" || !this.#joined.has(key)) return false;
    try {
      return multicastInterface === undefined || hasInterface(this.#family, multicastInterface);
    } catch {
      // Listing the interfaces is not permitted.
      return true;
    }
  }

  /**
   * The name to leave a group by. An IPv6 interface that is gone has no index to name it by. Without one, the system
   * takes the first membership of the group that it finds: this one, if the socket has joined no other.
   */
  #placeToLeave(group: string, multicastInterface: string | undefined): string | undefined {
    if (multicastInterface === undefined) return undefined;
    if (this.#family === 4 || hasInterface(6, multicastInterface)) return runtimeName(this.#family, multicastInterface);
    if ([...this.#joined].some((key) => key.startsWith(`${group}%`))) throw new Error("The interface is gone");
    return undefined;
  }
}
