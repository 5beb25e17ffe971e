/**
 * The ports of a mesh: everything that it needs from outside, in one object.
 *
 * @module
 */

import type { Clock } from "./clock.ts";
import type { Contexts } from "./contexts.ts";
import type { Bind } from "./datagram_socket.ts";
import type { NetworkInterfaces, RandomBytes, Resolve, ResolveSrv, RouteTo } from "./host.ts";

/** The ports of a mesh. `openMesh` fills in those of the runtime; `MemoryNetwork` has simulated ones. */
export interface MeshPorts {
  /** Binds UDP sockets. */
  readonly bind: Bind;
  /** Tells the time and runs timers. */
  readonly clock: Clock;
  /** Makes random bytes. */
  readonly randomBytes: RandomBytes;
  /** Looks up host names. */
  readonly resolve: Resolve;
  /** Looks up SRV records. */
  readonly resolveSrv: ResolveSrv;
  /** Lists the interfaces of this host. */
  readonly networkInterfaces: NetworkInterfaces;
  /**
   * Keeps the contexts of `AsyncLocalStorage` apart. Without it callbacks run in the context of whatever code happens
   * to call them.
   */
  readonly contexts?: Contexts | undefined;
  /**
   * Tells which of this host's addresses the system's routes choose. Without it, a mesh that is given no interface
   * assumes that the system chooses the first one that is not loopback.
   */
  readonly routeTo?: RouteTo | undefined;
}
