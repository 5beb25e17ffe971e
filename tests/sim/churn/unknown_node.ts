/**
 * An unknown node on the network that sends what it likes: forged addresses, invented nodes, the ids of others, forged
 * peer exchanges.
 *
 * @module
 */

import type { SeededRandom } from "../../../adapters/memory.ts";
import { type DatagramSocket, encodeExtension, encodePacket, type Extension } from "../../../mod.ts";
import { nodeIdBytes } from "../../support/hex.ts";
import { open } from "../../support/memory_sockets.ts";
import { pick } from "../storm/plan.ts";
import { HEARTBEAT, recordsOf } from "../storm/wire.ts";
import type { ChurnNode } from "./node.ts";
import { PORT } from "./plan.ts";
import type { ChurnWorld } from "./world.ts";

/** What an unknown node does. */
export type Trick = "plain" | "extended" | "list" | "loop" | "mirror" | "mimic" | "crowd" | "guest";
export const TRICKS: readonly Trick[] = [
  // Heartbeats of nodes that do not exist, without the extension as go-warp's and with it, at addresses of victims.
  "plain",
  "extended",
  // Peer exchanges: lists of victims with invented ids, and invented nodes that list each other.
  "list",
  "loop",
  // The receiver's own id, or its own address in all forms.
  "mirror",
  // The id of another real node.
  "mimic",
  // Thousands of ids at the unknown node's own address.
  "crowd",
  // A few nodes that respond, and list victims.
  "guest",
];

const NONCE_TAG = 4;
/** Most peers in one list. */
const MAX_REPORTED = 32;
/** Ids of an unknown node that responds: they may become peers. */
export const GUESTS = 5;

/** An address, and the id that goes with it. */
type Listed = NonNullable<Extension["peers"]>[number];

/** `host` and `port`. */
export interface Target {
  readonly host: string;
  readonly port: number;
}

/** The address of the unknown node. */
export const UNKNOWN: Target = { host: "10.0.0.250", port: 4000 };
const HERE = `${UNKNOWN.host}:${UNKNOWN.port}`;

/** Sends from one socket of its own. */
export class UnknownNode {
  /** The addresses that it advertises for nodes: victims, and addresses that no socket has. */
  readonly #advertised: readonly Target[];
  /** Such addresses that are in lists of peers and nowhere else. */
  readonly #listed: readonly Target[];
  readonly #world: ChurnWorld;
  readonly #random: SeededRandom;
  readonly #ids: readonly Uint8Array[];
  readonly #guests: readonly Uint8Array[];
  #socket: DatagramSocket | undefined;
  #answers = false;

  constructor(world: ChurnWorld, advertised: readonly Target[], listed: readonly Target[]) {
    const { random } = world;
    this.#world = world;
    this.#random = random;
    this.#advertised = advertised;
    this.#listed = listed;
    this.#ids = Array.from({ length: 5000 }, () => random.bytes(16));
    this.#guests = this.#ids.slice(0, GUESTS);
  }

  /** `answers`: it echoes the nonces of path challenges, as a node does. */
  async bind(answers: boolean): Promise<void> {
    this.#answers = answers;
    const message = (data: Uint8Array, host: string, port: number) => this.#onMessage(data, host, port);
    this.#socket = await open(this.#world.network.host(UNKNOWN.host), { port: UNKNOWN.port }, {
      message,
      error() {},
    });
  }

  /** Sends one datagram, to one node or to the group. */
  play(trick: Trick): void {
    const nodes = this.#world.running();
    const node = pick(this.#random, nodes);
    const [host = "", port] = node.mesh.address.split(":");
    const target = this.#random.chance(0.3) ? { host: "239.0.0.1", port: PORT } : { host, port: Number(port) };
    const other = pick(this.#random, nodes);
    this.#send(this.#datagram(trick, node, other), target.host, target.port);
  }

  close(): Promise<void> {
    return this.#socket?.close() ?? Promise.resolve();
  }

  #datagram(trick: Trick, node: ChurnNode, other: ChurnNode): Uint8Array {
    const random = this.#random;
    const id = pick(random, this.#ids);
    const target = this.#address(pick(random, this.#advertised));
    switch (trick) {
      case "plain":
        return heartbeat(id, target);
      case "extended":
        return heartbeat(id, target, this.#records());
      case "list":
        return heartbeat(id, HERE, { ...this.#records(), peers: this.#peerList() });
      case "loop":
        return this.#loop();
      case "mirror":
        return random.chance(0.5)
          ? heartbeat(nodeIdBytes(node.id), target, this.#records())
          : heartbeat(id, pick(random, this.#formsOf(node)), {
            ...this.#records(),
            peers: [...this.#peerList().slice(0, 3), { id, ...endpointOf(node) }, {
              id: nodeIdBytes(node.id),
              host: UNKNOWN.host,
              port: 9,
            }],
          });
      case "mimic":
        return heartbeat(nodeIdBytes(other.id), target, random.chance(0.5) ? this.#records() : undefined);
      case "crowd":
        return heartbeat(
          id,
          pick(random, ["", HERE, "0.0.0.0:4000"]),
          random.chance(0.7) ? this.#records() : undefined,
        );
      case "guest":
        return heartbeat(pick(random, this.#guests), HERE, {
          position: { last: 0, oldest: 1, age: Infinity },
          peers: [...this.#peerList().slice(1), { id: pick(random, this.#guests), ...UNKNOWN }],
        });
    }
  }

  /** Records that a correct node may send, and others that none would. */
  #records(): Extension {
    const random = this.#random;
    const last = random.below(100);
    return {
      position: { last, oldest: last === 0 ? 1 : 1 + random.below(last), age: random.below(10_000) },
      ...(random.chance(0.3) ? { nonce: random.below(2 ** 32) } : {}),
      ...(random.chance(0.3) ? { echo: random.below(2 ** 32) } : {}),
      ...(random.chance(0.3) ? { token: random.bytes(8) } : {}),
      ...(random.chance(0.3) ? { path: random.below(3) } : {}),
      ...(random.chance(0.3) ? { heard: random.bytes(4 * random.below(10)) } : {}),
    };
  }

  #peerList(): Listed[] {
    const count = 1 + this.#random.below(MAX_REPORTED);
    return Array.from({ length: count }, () => {
      const { host, port } = pick(this.#random, this.#listed);
      return { id: pick(this.#random, this.#ids), host, port };
    });
  }

  /** A lists B, and B lists A, each at the other's address. */
  #loop(): Uint8Array {
    const random = this.#random;
    const [a, b] = [random.below(20), random.below(20)];
    const [to, from] = [this.#advertised[a], this.#listed[b]];
    if (to === undefined || from === undefined) return heartbeat(this.#ids[a] ?? new Uint8Array(16), "");
    return heartbeat(this.#ids[a] ?? new Uint8Array(16), this.#address(to), {
      ...this.#records(),
      peers: [{ id: this.#ids[b] ?? new Uint8Array(16), ...from }, { id: this.#ids[a] ?? new Uint8Array(16), ...from }],
    });
  }

  #formsOf({ mesh, host }: ChurnNode): string[] {
    const port = mesh.address.split(":")[1];
    const hosts = [host.address, "127.0.0.1", "0.0.0.0", "239.0.0.1", "10.0.0.255", "255.255.255.255", "localhost"];
    return hosts.flatMap((name) => [`${name}:${port}`, `${name}:${PORT}`]);
  }

  #address({ host, port }: Target): string {
    return `${host}:${port}`;
  }

  #onMessage(data: Uint8Array, host: string, port: number): void {
    const nonce = this.#answers ? nonceOf(data) : undefined;
    if (nonce === undefined) return;
    const id = pick(this.#random, this.#guests);
    this.#send(
      heartbeat(id, HERE, {
        position: { last: 0, oldest: 1, age: Infinity },
        echo: nonce,
        peers: this.#peerList(),
      }),
      host,
      port,
    );
  }

  #send(data: Uint8Array, host: string, port: number): void {
    this.#socket?.send(data, host, port).catch(() => {});
  }
}

function heartbeat(nodeId: Uint8Array, address: string, extension?: Extension): Uint8Array {
  const key = new TextEncoder().encode(address);
  const packet = encodePacket({ type: HEARTBEAT, nodeId, keyHash: 0n, key });
  if (extension === undefined) return packet;
  const block = encodeExtension(extension);
  const bytes = new Uint8Array(packet.length + block.length);
  bytes.set(packet);
  bytes.set(block, packet.length);
  return bytes;
}

/** The nonce of a path challenge. */
function nonceOf(data: Uint8Array): number | undefined {
  const record = data[1] === HEARTBEAT ? recordsOf(data)?.find(({ tag }) => tag === NONCE_TAG) : undefined;
  return record && new DataView(data.buffer, data.byteOffset).getUint32(record.start);
}

function endpointOf({ mesh }: ChurnNode): Target {
  const [host = "", port] = mesh.address.split(":");
  return { host, port: Number(port) };
}
