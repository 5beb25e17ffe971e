/**
 * A stranger on the network who says what it likes: forged addresses, invented nodes, others' ids, hearsay.
 *
 * @module
 */

import type { SeededRandom } from "../../../adapters/memory.ts";
import { type DatagramSocket, encodeExtension, encodePacket, type Extension } from "../../../mod.ts";
import { open } from "../../support/memory_sockets.ts";
import { pick } from "../storm/plan.ts";
import { HEARTBEAT, recordsOf } from "../storm/wire.ts";
import type { ChurnNode } from "./node.ts";
import { PORT } from "./plan.ts";
import type { ChurnWorld } from "./world.ts";

/** What a stranger does. */
export type Trick = "plain" | "extended" | "hearsay" | "loop" | "mirror" | "mimic" | "crowd" | "guest";
export const TRICKS: readonly Trick[] = [
  // Heartbeats as of the original, and with the extension, of nodes that are not there, at addresses of victims.
  "plain",
  "extended",
  // Lists of known peers: victims under invented ids, and invented nodes that name each other.
  "hearsay",
  "loop",
  // The receiver's own id, or its own address in all forms.
  "mirror",
  // The id of another real node.
  "mimic",
  // Thousands of ids at the stranger's own address.
  "crowd",
  // A few nodes that answer, and tell of victims.
  "guest",
];

const NONCE_TAG = 4;
/** Most peers in one list. */
const MAX_REPORTED = 32;
/** Ids of a stranger that answers: they may be known. */
export const GUESTS = 5;

/** An address, and the id that goes with it. */
type Told = NonNullable<Extension["peers"]>[number];

/** `host` and `port`. */
export interface Target {
  readonly host: string;
  readonly port: number;
}

/** Where the stranger is. */
export const STRANGER: Target = { host: "10.0.0.250", port: 4000 };
const HERE = `${STRANGER.host}:${STRANGER.port}`;

/** Sends from one socket of its own. */
export class Stranger {
  /** Where it claims that nodes are: victims and addresses that nobody has. */
  readonly #advertised: readonly Target[];
  /** The same in lists of peers, and nowhere else. */
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

  /** `answers` says that it repeats the nonces of questions, as a node does. */
  async bind(answers: boolean): Promise<void> {
    this.#answers = answers;
    const message = (data: Uint8Array, host: string, port: number) => this.#onMessage(data, host, port);
    this.#socket = await open(this.#world.network.host(STRANGER.host), { port: STRANGER.port }, {
      message,
      error() {},
    });
  }

  /** One datagram, to a node alone or to the group. */
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
      case "hearsay":
        return heartbeat(id, HERE, { ...this.#records(), peers: this.#hearsay() });
      case "loop":
        return this.#loop();
      case "mirror":
        return random.chance(0.5)
          ? heartbeat(bytesOf(node.id), target, this.#records())
          : heartbeat(id, pick(random, this.#formsOf(node)), {
            ...this.#records(),
            peers: [...this.#hearsay().slice(0, 3), { id, ...endpointOf(node) }, {
              id: bytesOf(node.id),
              host: STRANGER.host,
              port: 9,
            }],
          });
      case "mimic":
        return heartbeat(bytesOf(other.id), target, random.chance(0.5) ? this.#records() : undefined);
      case "crowd":
        return heartbeat(
          id,
          pick(random, ["", HERE, "0.0.0.0:4000"]),
          random.chance(0.7) ? this.#records() : undefined,
        );
      case "guest":
        return heartbeat(pick(random, this.#guests), HERE, {
          position: { last: 0, oldest: 1, age: Infinity },
          peers: [...this.#hearsay().slice(1), { id: pick(random, this.#guests), ...STRANGER }],
        });
    }
  }

  /** Records as an honest node may send them, and as none would. */
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

  #hearsay(): Told[] {
    const count = 1 + this.#random.below(MAX_REPORTED);
    return Array.from({ length: count }, () => {
      const { host, port } = pick(this.#random, this.#listed);
      return { id: pick(this.#random, this.#ids), host, port };
    });
  }

  /** A says that B is there, B that A is, each at the other's address. */
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
        peers: this.#hearsay(),
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

/** The nonce of a question. */
function nonceOf(data: Uint8Array): number | undefined {
  const record = data[1] === HEARTBEAT ? recordsOf(data)?.find(({ tag }) => tag === NONCE_TAG) : undefined;
  return record && new DataView(data.buffer, data.byteOffset).getUint32(record.start);
}

function endpointOf({ mesh }: ChurnNode): Target {
  const [host = "", port] = mesh.address.split(":");
  return { host, port: Number(port) };
}

function bytesOf(nodeId: string): Uint8Array {
  return Uint8Array.from(nodeId.replaceAll("-", "").match(/../g) ?? [], (byte) => Number.parseInt(byte, 16));
}
