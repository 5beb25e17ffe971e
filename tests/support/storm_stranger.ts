/**
 * A stranger in a seeded world: it sends what a node can send that nobody knows, in nobody's name, and answers nothing.
 *
 * @module
 */

import { type DatagramSocket, encodeExtension, encodePacket, type Extension } from "../../mod.ts";
import type { StormNode } from "./storm_node.ts";
import { pick } from "./storm_plan.ts";
import { BATCH, CATCH_UP, HEARTBEAT, LEAVE, NAK, recordsOf, STATE } from "./storm_wire.ts";
import type { StormWorld } from "./storm_world.ts";

const HOST = "10.0.0.250";
const PORT = 5000;
const GROUP = "239.0.0.1";
const MESH_PORT = 7946;
/** How often one is excused a gap of a forged newborn, in a time in milliseconds. */
const EXCUSED = { times: 8, within: 60_000 };
/** Ids that it uses of each kind: some again and again. */
const IDS = 12;
/** Datagrams of others that it keeps, to send them under another id. */
const KEPT = 10;
/** The record that answers a question. */
const ECHO_TAG = 11;

/** What it sends. */
const TRICKS = ["plain", "extended", "newborn", "batch", "state", "leave", "request", "copy"] as const;

/** Sends from a host of its own. */
export class StormStranger {
  readonly #world: StormWorld;
  readonly #ids: readonly Uint8Array[];
  /** Those that it has sent the extension under, and plain heartbeats. */
  readonly #extended: readonly Uint8Array[];
  readonly #newborns = new Set<string>();
  readonly #silent = new Set<string>();
  readonly #gaps = new Map<StormNode, number[]>();
  readonly #copies: Uint8Array[] = [];
  #socket: DatagramSocket | undefined;

  constructor(world: StormWorld) {
    const { random } = world;
    this.#world = world;
    this.#ids = Array.from({ length: 2 * IDS }, () => random.bytes(16));
    this.#extended = this.#ids.slice(IDS);
    for (const id of this.#extended) this.#silent.add(textOf(id));
  }

  /** Whether it has used this id with the extension: nobody can know it as a peer. */
  isSilent(id: string): boolean {
    return this.#silent.has(id);
  }

  /** Whether a gap of this id is what a forged newborn may cause. */
  isExcused(node: StormNode, id: string): boolean {
    const { now } = this.#world;
    const recent = (this.#gaps.get(node) ?? []).filter((at) => at > now - EXCUSED.within);
    this.#gaps.set(node, [...recent, now]);
    return this.#newborns.has(id) && recent.length < EXCUSED.times;
  }

  /** A datagram arrives somewhere: it may come again, under another id. */
  keep(data: Uint8Array): void {
    // A batch is delivered whoever sends it, and a node without the extension is a peer as soon as it is heard.
    const records = recordsOf(data) ?? [];
    if (data[1] === BATCH || records.length === 0) return;
    // Nor does it overhear answers, which may never come where they are awaited: with one it would have answered.
    if (records.some(({ tag }) => tag === ECHO_TAG)) return;
    if (this.#copies.length < KEPT && this.#world.random.chance(0.05)) this.#copies.push(data.slice());
  }

  /** One datagram, to a node alone or to the group. */
  async play(): Promise<void> {
    const { network, random, nodes } = this.#world;
    this.#socket ??= await network.host(HOST).bind({
      host: "0.0.0.0",
      port: PORT,
      shared: false,
      sendsMulticast: true,
      multicastLoopback: false,
      multicastTtl: 1,
    }, { message() {}, error() {} });
    const running = nodes.filter(({ mesh, state }) => mesh !== undefined && state === "running");
    if (running.length === 0) return;
    const { host, index } = pick(random, running);
    const trick = pick(random, TRICKS);
    const toGroup = random.chance(0.3);
    this.#world.note(() => `a stranger sends ${trick} to ${toGroup ? "the group" : index}`);
    await this.#socket.send(this.#datagram(trick), toGroup ? GROUP : host.address, MESH_PORT);
  }

  close(): void {
    void this.#socket?.close();
  }

  #datagram(trick: typeof TRICKS[number]): Uint8Array {
    const { random, nodes } = this.#world;
    const id = pick(random, this.#extended);
    const last = pick(random, [1, 5, 1 + random.below(1000), 2 ** 47]);
    const position = { last, oldest: 1 + random.below(Math.min(last, 1000)), age: pick(random, [0, 3000, Infinity]) };
    switch (trick) {
      case "plain":
        return heartbeat(
          this.#ids[random.below(IDS)] as Uint8Array,
          random.chance(0.5) ? `${HOST}:${PORT}` : "10.0.0.251:9",
        );
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
        const stream = bytesOf(pick(random, nodes).nodeId);
        const nonce = random.below(2 ** 32);
        if (random.chance(0.5)) return control(CATCH_UP, id, { stream, nonce, since: random.below(10_000) });
        return control(NAK, id, { stream, nonce, ranges: [{ from: 1, to: 1 + random.below(100) }] });
      }
      case "copy": {
        const copy = this.#copies[random.below(this.#copies.length)]?.slice();
        if (copy === undefined) return heartbeat(id, `${HOST}:${PORT}`, { position });
        copy.set(id, 2);
        // It may say that the stream is empty.
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

function bytesOf(nodeId: string): Uint8Array {
  return Uint8Array.from(nodeId.replaceAll("-", "").match(/../g) ?? [], (byte) => Number.parseInt(byte, 16));
}
