/**
 * An unknown node in a seeded world: it sends what an unknown node can send, under no real node's id, and
 * responds to nothing.
 *
 * @module
 */

import { type DatagramSocket, encodeExtension, encodePacket, type Extension } from "../../../mod.ts";
import { nodeIdBytes } from "../../support/hex.ts";
import type { StormNode } from "./node.ts";
import { pick } from "./plan.ts";
import { BATCH, CATCH_UP, HEARTBEAT, LEAVE, NAK, recordsOf, STATE } from "./wire.ts";
import type { StormWorld } from "./world.ts";

const HOST = "10.0.0.250";
const PORT = 5000;
const GROUP = "239.0.0.1";
const MESH_PORT = 7946;
/** How many gaps of forged new nodes are allowed in so many milliseconds. */
const EXCUSED = { times: 8, within: 60_000 };
/** Ids of each kind. Some are used again and again. */
const IDS = 12;
/** Other ports from which it sends plain heartbeats, each for some of the ids. */
const PLAIN_PORTS = [5001, 5002, 5003, 5004];
/** Heartbeats after which a plain node counts as established, and has a greater share of the copies. */
const ESTABLISHED = 3;
/**
 * Copies that a node sends to all others, at once and in a second: as in `docs/guarantees.md`. Its clock may be fast.
 */
const COPIES = 256;
const FASTEST = 1.01;
/** Datagrams of other nodes that it keeps, to send them under another id. */
const KEPT = 10;
/** The record that responds to a path challenge. */
const ECHO_TAG = 11;

/** The kinds of datagrams that it sends. */
const TRICKS = ["plain", "extended", "newborn", "batch", "state", "leave", "request", "copy"] as const;

/** Sends from a host of its own. */
export class StormUnknownNode {
  readonly #world: StormWorld;
  readonly #ids: readonly Uint8Array[];
  /** The ids with which it has sent the extension. */
  readonly #extended: readonly Uint8Array[];
  readonly #newborns = new Set<string>();
  readonly #silent = new Set<string>();
  readonly #gaps = new Map<StormNode, number[]>();
  readonly #copies: Uint8Array[] = [];
  readonly #sockets: DatagramSocket[] = [];
  /** Heartbeats sent under each plain id. */
  readonly #plain = new Map<number, number>();
  /** Batches that a node has sent to unestablished plain nodes, and since when. */
  readonly #sent = new Map<StormNode, { readonly since: number; count: number }>();

  constructor(world: StormWorld) {
    const { random } = world;
    this.#world = world;
    this.#ids = Array.from({ length: 2 * IDS }, () => random.bytes(16));
    this.#extended = this.#ids.slice(IDS);
    for (const id of this.#extended) this.#silent.add(textOf(id));
  }

  /** Whether it has used this id with the extension: no node can have it as a peer. */
  isSilent(id: string): boolean {
    return this.#silent.has(id);
  }

  /** Whether a gap of this id is one that a forged new node may cause. */
  isExcused(node: StormNode, id: string): boolean {
    const { now } = this.#world;
    const recent = (this.#gaps.get(node) ?? []).filter((at) => at > now - EXCUSED.within);
    this.#gaps.set(node, [...recent, now]);
    return this.#newborns.has(id) && recent.length < EXCUSED.times;
  }

  /** Takes note of a datagram that arrives at a node: it may arrive again, under another id. */
  keep(data: Uint8Array): void {
    // A batch is delivered whatever node sends it, and a node without the extension is a peer as soon as it is heard.
    const records = recordsOf(data) ?? [];
    if (data[1] === BATCH || records.length === 0) return;
    // It keeps no path responses either: sent before the real one arrives, such a copy would validate it.
    if (records.some(({ tag }) => tag === ECHO_TAG)) return;
    if (this.#copies.length < KEPT && this.#world.random.chance(0.05)) this.#copies.push(data.slice());
  }

  /** A node sends a batch here: a plain node that was heard once or twice gets no more than a share. */
  copied(node: StormNode, data: Uint8Array, host: string, port: number): void {
    const place = PLAIN_PORTS.indexOf(port);
    if (data[1] !== BATCH || host !== HOST || place < 0) return;
    const isEstablished = [...this.#plain].some(([id, times]) =>
      id % PLAIN_PORTS.length === place && times >= ESTABLISHED
    );
    if (isEstablished) return;
    const { now } = this.#world;
    const sent = this.#sent.get(node) ?? { since: now, count: 0 };
    this.#sent.set(node, sent);
    sent.count++;
    const most = COPIES + Math.ceil(COPIES * (now - sent.since) * FASTEST / 1000);
    if (sent.count === most + 1) {
      this.#world.problems.push(`P21: node ${node.index} has sent ${sent.count} copies to unknown nodes`);
    }
  }

  /** Sends one datagram, to one node or to the group. */
  async play(): Promise<void> {
    const { random, nodes } = this.#world;
    if (this.#sockets.length === 0) {
      for (const port of [PORT, ...PLAIN_PORTS]) this.#sockets.push(await this.#open(port));
    }
    const running = nodes.filter(({ mesh, state }) => mesh !== undefined && state === "running");
    if (running.length === 0) return;
    const { host, index } = pick(random, running);
    const trick = pick(random, TRICKS);
    const toGroup = random.chance(0.3);
    this.#world.note(() => `an unknown node sends ${trick} to ${toGroup ? "the group" : index}`);
    const [data, socket] = this.#datagram(trick);
    await socket?.send(data, toGroup ? GROUP : host.address, MESH_PORT);
  }

  close(): void {
    for (const socket of this.#sockets) void socket.close();
  }

  #open(port: number): Promise<DatagramSocket> {
    return this.#world.network.host(HOST).bind({
      host: "0.0.0.0",
      port,
      shared: false,
      sendsMulticast: true,
      multicastLoopback: false,
      multicastTtl: 1,
    }, { message() {}, error() {} });
  }

  /** The datagram of a trick, and from which socket it is sent if that matters. */
  #datagram(trick: typeof TRICKS[number]): readonly [Uint8Array, DatagramSocket | undefined] {
    if (trick === "plain") return this.#plainHeartbeat();
    return [this.#extendedDatagram(trick), this.#sockets[0]];
  }

  #plainHeartbeat(): readonly [Uint8Array, DatagramSocket | undefined] {
    const { random } = this.#world;
    const id = random.below(IDS);
    const place = id % PLAIN_PORTS.length;
    this.#plain.set(id, (this.#plain.get(id) ?? 0) + 1);
    const address = random.chance(0.5) ? `${HOST}:${PLAIN_PORTS[place]}` : "10.0.0.251:9";
    return [heartbeat(this.#ids[id] as Uint8Array, address), this.#sockets[1 + place]];
  }

  #extendedDatagram(trick: Exclude<typeof TRICKS[number], "plain">): Uint8Array {
    const { random, nodes } = this.#world;
    const id = pick(random, this.#extended);
    const last = pick(random, [1, 5, 1 + random.below(1000), 2 ** 47]);
    const position = { last, oldest: 1 + random.below(Math.min(last, 1000)), age: pick(random, [0, 3000, Infinity]) };
    switch (trick) {
      case "extended":
        return heartbeat(id, `${HOST}:${PORT}`, { position, path: random.below(3) });
      case "newborn":
        this.#newborns.add(textOf(id));
        return heartbeat(id, `${HOST}:${PORT}`, { position: { last: 0, oldest: 1, age: Infinity }, path: 2 });
      case "batch":
        return joined(encodePacket({ type: BATCH, nodeId: id, keys: [] }), { number: last });
      case "state":
        return control(STATE, id, { position });
      case "leave":
        return control(LEAVE, id, { position });
      case "request": {
        const stream = nodeIdBytes(pick(random, nodes).nodeId);
        const nonce = random.below(2 ** 32);
        if (random.chance(0.5)) return control(CATCH_UP, id, { stream, nonce, since: random.below(10_000) });
        return control(NAK, id, { stream, nonce, ranges: [{ from: 1, to: 1 + random.below(100) }] });
      }
      case "copy": {
        const copy = this.#copies[random.below(this.#copies.length)]?.slice();
        if (copy === undefined) return heartbeat(id, `${HOST}:${PORT}`, { position });
        copy.set(id, 2);
        // The copy may say that the stream is empty.
        this.#newborns.add(textOf(id));
        return copy;
      }
    }
  }
}

function heartbeat(nodeId: Uint8Array, address: string, extension?: Extension): Uint8Array {
  const packet = encodePacket({ type: HEARTBEAT, nodeId, keyHash: 0n, key: new TextEncoder().encode(address) });
  return extension === undefined ? packet : joined(packet, extension);
}

function control(type: number, nodeId: Uint8Array, extension: Extension): Uint8Array {
  const header = new Uint8Array(18);
  header.set([0x57, type]);
  header.set(nodeId, 2);
  return joined(header, extension);
}

function joined(packet: Uint8Array, extension: Extension): Uint8Array {
  const records = encodeExtension(extension);
  const whole = new Uint8Array(packet.length + records.length);
  whole.set(packet);
  whole.set(records, packet.length);
  return whole;
}

function textOf(id: Uint8Array): string {
  const hex = Array.from(id, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
