/**
 * Bus: the interface by which the benchmark drives each bus.
 *
 * @module
 */

/** One endpoint of a bus that carries keys from process to process. */
export interface Bus {
  /** The address at which others reach this endpoint, `host:port`; empty where a server is between. */
  readonly address: string;
  /** Resolves when this endpoint and `others` further ones know of each other. */
  ready(others: number): Promise<unknown>;
  /** Publishes without waiting. */
  publish(key: string): void;
  /** Resolves when there is room for further keys after all that were published so far. */
  flush(): Promise<unknown> | undefined;
  close(): Promise<unknown>;
}

/** The parameters of an endpoint. */
export interface EndpointOptions {
  /** The addresses of the endpoints that were opened before. */
  readonly targets: readonly string[];
  /** Port of the server on this machine, where one is between. */
  readonly server: number;
  /** Gets each key that arrives; `undefined` for an endpoint that only publishes. */
  readonly heard: ((key: string) => void) | undefined;
}

/** Opens an endpoint. */
export type OpenBus = (options: EndpointOptions) => Promise<Bus>;

/** The buses that are compared. */
export type BusName = "mesh" | "filled" | "exact" | "key" | "datagram" | "loop" | "redis" | "nats";

/** The one topic of the brokers: the key is the message, as a prefix subscription of the mesh gets all keys. */
export const TOPIC = "keys";

/** Number of different keys that are published over and over, in order, where they do not carry a time. */
export const KEY_POOL = 100_000;

/** Opens an endpoint. The module of a bus is loaded only by the processes that use it. */
export async function openBus(name: BusName, options: EndpointOptions): Promise<Bus> {
  switch (name) {
    case "mesh":
      return await (await import("./mesh.ts")).openMeshBus(options);
    case "filled":
      return await (await import("./mesh.ts")).openFilled(options);
    case "exact":
      return await (await import("./mesh.ts")).openExact(options);
    case "key":
      return await (await import("./bare.ts")).openKey(options);
    case "datagram":
      return await (await import("./bare.ts")).openDatagram(options);
    case "loop":
      return await (await import("./loop.ts")).openLoop(options);
    case "redis":
      return await (await import("./redis.ts")).openRedis(options);
    case "nats":
      return await (await import("./nats.ts")).openNats(options);
  }
}
