/**
 * Line: the publishing and subscribing processes of one bus.
 *
 * @module
 */

import { type Peer, startPeer } from "../worker_process.ts";
import type { Server } from "../servers.ts";
import type { BusName } from "./bus.ts";
import type { Arrived, NodeRequest, Opened, Published } from "./protocol.ts";

const NODE = new URL("./node.ts", import.meta.url);

// How long nothing must have arrived before a round counts as complete, in milliseconds. For bare sockets: several
// times what a full receive buffer takes. With retransmission: several times the longest interval between two NAKs for
// the same datagram.
const SETTLE_MS = 100;
const REPAIR_MS = 5_000;
const BARE: readonly BusName[] = ["key", "datagram", "loop"];

/** The result of one round. */
export interface Round {
  /** One result for each publisher. */
  readonly published: readonly Published[];
  /** One result for each subscriber. */
  readonly arrived: readonly Arrived[];
}

/** Processes that were started for lines, and are reused when a line is opened again. */
export class Crew {
  readonly #publishers: Peer[] = [];
  readonly #subscribers: Peer[] = [];

  publishers(count: number): readonly Peer[] {
    return some(this.#publishers, count);
  }

  subscribers(count: number): readonly Peer[] {
    return some(this.#subscribers, count);
  }

  async end(): Promise<void> {
    await Promise.all([...this.#publishers, ...this.#subscribers].map((peer) => peer.end()));
  }
}

/** A line: publishers and subscribers of one bus, each in a process of its own. */
export class Line {
  readonly bus: BusName;
  readonly server: Server | undefined;
  readonly #crew: Crew;
  #publishers: readonly Peer[] = [];
  #subscribers: readonly Peer[] = [];

  /** Lines that share a crew must not be open at the same time. */
  constructor(bus: BusName, server?: Server, crew: Crew = new Crew()) {
    this.bus = bus;
    this.server = server;
    this.#crew = crew;
  }

  async open(publishers: number, subscribers: number): Promise<void> {
    this.#publishers = this.#crew.publishers(publishers);
    this.#subscribers = this.#crew.subscribers(subscribers);
    const ends = [...this.#subscribers, ...this.#publishers];
    const targets: string[] = [];
    for (const [i, end] of ends.entries()) {
      const listens = i < subscribers;
      const request = { type: "open", bus: this.bus, listens, targets, server: this.server?.port ?? 0 } as const;
      const { address } = await ask<Opened>(end, request);
      // An endpoint that only publishes is no target.
      if (listens && address !== "") targets.push(address);
    }
    await all(ends, { type: "ready", others: ends.length - 1 });
  }

  /** Publishes as fast as the bus takes keys, and waits until all have arrived. */
  async flood(ms: number): Promise<Round> {
    await all(this.#subscribers, { type: "count" });
    return await this.#round({ type: "publish", ms });
  }

  /** Publishes at a rate, and measures how long each key takes. There must be one publisher. */
  async pace(keys: number, interval: number, start: number): Promise<Round> {
    await all(this.#subscribers, { type: "time", keys });
    return await this.#round({ type: "pace", keys, interval, start });
  }

  async close(): Promise<void> {
    await all([...this.#publishers, ...this.#subscribers], { type: "close" });
  }

  /** Ends all processes. */
  end(): Promise<void> {
    return this.#crew.end();
  }

  async #round(request: NodeRequest): Promise<Round> {
    const published = await all<Published>(this.#publishers, request);
    const keys = published.reduce((sum, each) => sum + each.keys, 0);
    const patience = BARE.includes(this.bus) ? SETTLE_MS : REPAIR_MS;
    const arrived = await all<Arrived>(this.#subscribers, { type: "report", keys, patience });
    return { published, arrived };
  }
}

function some(started: Peer[], count: number): readonly Peer[] {
  while (started.length < count) started.push(startPeer(NODE));
  return started.slice(0, count);
}

async function ask<Answer>(peer: Peer, request: NodeRequest): Promise<Answer> {
  return await peer.request(request) as Answer;
}

function all<Answer>(peers: readonly Peer[], request: NodeRequest): Promise<Answer[]> {
  return Promise.all(peers.map((peer) => ask<Answer>(peer, request)));
}
