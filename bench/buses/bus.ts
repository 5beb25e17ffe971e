/** One end of a way that keys take from process to process. */
export interface Bus {
  /** Where others reach this end, `host:port`; empty where a server is between. */
  readonly address: string;
  /** Resolves when this end and so many others know of each other. */
  ready(others: number): Promise<unknown>;
  /** Waits for nothing. */
  publish(key: string): void;
  /** Resolves when there is room for what comes after all that was published so far. */
  flush(): Promise<unknown> | undefined;
  close(): Promise<unknown>;
}

/** What an end is told when it is opened. */
export interface AdvertisedAddress {
  /** The addresses of the ends that were opened before. */
  readonly targets: readonly string[];
  /** Port of the server on this machine, where one is between. */
  readonly server: number;
  /** Gets each key that arrives; nobody on an end that only publishes. */
  readonly heard: ((key: string) => void) | undefined;
}

/** Opens an end. */
export type OpenBus = (place: AdvertisedAddress) => Promise<Bus>;

/** What keys can travel by. */
export type BusName = "mesh" | "filled" | "exact" | "key" | "datagram" | "loop" | "redis" | "nats";

/** The one topic of the brokers: the key is the message, as a prefix subscription of the mesh gets all keys. */
export const TOPIC = "keys";

/** Different keys that are published over and over, in order, where they do not carry a time. */
export const KEY_POOL = 100_000;

/** The module that a bus is in is loaded by the processes that use it, and by no other. */
export async function openBus(name: BusName, place: AdvertisedAddress): Promise<Bus> {
  switch (name) {
    case "mesh":
      return await (await import("./mesh.ts")).openMeshBus(place);
    case "filled":
      return await (await import("./mesh.ts")).openFilled(place);
    case "exact":
      return await (await import("./mesh.ts")).openExact(place);
    case "key":
      return await (await import("./bare.ts")).openKey(place);
    case "datagram":
      return await (await import("./bare.ts")).openDatagram(place);
    case "loop":
      return await (await import("./loop.ts")).openLoop(place);
    case "redis":
      return await (await import("./redis.ts")).openRedis(place);
    case "nats":
      return await (await import("./nats.ts")).openNats(place);
  }
}
