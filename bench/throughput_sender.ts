import { setImmediate, setTimeout } from "node:timers/promises";
import process from "node:process";
import { bind } from "../adapters/auto.ts";
import { type MeshBus, openMesh } from "../mod.ts";
import type { DatagramSocket } from "../src/datagram_socket.ts";
import { asciiKeys, KEYS_PER_DATAGRAM } from "./keys.ts";
import { type Peer, startPeer } from "./peer.ts";
import {
  type How,
  KEY_POOL,
  type ReceiverReport,
  type ReceiverRequest,
  type ReceiverWelcome,
} from "./throughput_protocol.ts";

/** What became of sending for some time. */
export interface Outcome {
  /** Keys a second that were published, or that would have filled the datagrams of the control. */
  readonly sent: number;
  /** Keys a second that have arrived, over the time that sending or receiving took, whichever took longer. */
  readonly delivered: number;
  /** Share of what was sent that has not arrived, after all repairs, from 0 to 1. */
  readonly loss: number;
  /** Datagrams that were missing for a time; 0 for the control. */
  readonly missing: number;
  /** How much longer receiving took than sending, in milliseconds. */
  readonly lag: number;
  /** Processor time of the sending process, in nanoseconds for each key that was sent. */
  readonly sendCpu: number;
  /** Processor time of the receiving process, in nanoseconds for each key that has arrived. */
  readonly receiveCpu: number;
}

// Keys published in one turn of the event loop at most, so that the socket gets its share of it.
const BURST = 500;
const DATAGRAM = new Uint8Array(20 + 18 * KEYS_PER_DATAGRAM).fill(0x61);

/** The sending process, and by it the receiving one. */
export class Sender {
  readonly #receiver: Peer;
  readonly #mesh: MeshBus;
  readonly #bare: DatagramSocket;
  readonly #target: ReceiverWelcome;
  readonly #keys: readonly string[] = asciiKeys(KEY_POOL);
  #nextKey = 0;

  /** With `multicast` each datagram goes to the group and to the receiver, as by default, else to the receiver alone. */
  static async open(multicast = false): Promise<Sender> {
    const args = multicast ? ["--multicast"] : [];
    const receiver = startPeer(new URL("./throughput_receiver.ts", import.meta.url), args);
    const target = await receiver.request({ type: "welcome" }) as ReceiverWelcome;
    const mesh = await openMesh({
      port: multicast ? target.port : 0,
      interface: "127.0.0.1",
      multicast,
      peers: [target.mesh],
      batchSize: 65_535,
      // So long the keys of the last batch wait, which is not full.
      batchInterval: 10,
      queueSize: 20 * BURST,
    });
    const bare = await bind(
      { host: "127.0.0.1", port: 0, shared: false, sendsMulticast: false, multicastLoopback: false, multicastTtl: 1 },
      { message() {}, error() {} },
    );
    return new Sender(receiver, target, mesh, bare);
  }

  private constructor(receiver: Peer, target: ReceiverWelcome, mesh: MeshBus, bare: DatagramSocket) {
    this.#receiver = receiver;
    this.#target = target;
    this.#mesh = mesh;
    this.#bare = bare;
  }

  /** Sends for `ms` milliseconds at `rate` keys a second; the control heeds no rate. */
  async send(how: How, rate: number, ms: number): Promise<Outcome> {
    await this.#ask({ type: "start", how });
    const cpu = process.cpuUsage();
    const start = performance.now();
    const sent = how === "bare" ? await this.#sendDatagrams(start + ms) : await this.#publish(rate, start, ms);
    const elapsed = performance.now() - start;
    while (this.#mesh.metrics().pending > 0) await setTimeout(5);
    const { user, system } = process.cpuUsage(cpu);
    const report = await this.#ask<ReceiverReport>({ type: "report", keys: sent });
    const keys = how === "bare" ? report.received * KEYS_PER_DATAGRAM : report.received;
    if (keys === 0 || keys > sent) throw new Error(`${keys} keys have arrived of ${sent} that were sent`);
    return {
      sent: (sent / elapsed) * 1000,
      delivered: (keys / Math.max(report.ms, elapsed)) * 1000,
      loss: 1 - keys / sent,
      missing: how === "bare" ? 0 : report.missing,
      lag: report.ms - elapsed,
      sendCpu: ((user + system) * 1000) / sent,
      receiveCpu: (report.cpuMs * 1e6) / keys,
    };
  }

  async close(): Promise<void> {
    await Promise.all([this.#mesh.close(), this.#bare.close(), this.#receiver.end()]);
  }

  /** Publishes what is due, turn by turn of the event loop, and waits where the mesh makes it wait. */
  async #publish(rate: number, start: number, ms: number): Promise<number> {
    const before = this.#mesh.metrics().keysPublished;
    let sent = 0;
    for (let elapsed = 0; elapsed < ms; elapsed = performance.now() - start) {
      const due = rate === Infinity ? BURST : Math.min(Math.floor((rate * elapsed) / 1000) - sent, BURST);
      let accepted: Promise<void> | undefined;
      for (let i = 0; i < due; i++) accepted = this.#mesh.publish(this.#key());
      sent += due;
      // Keys are accepted first come, first served, so with the last one all are.
      await accepted;
      await setImmediate();
    }
    return this.#mesh.metrics().keysPublished - before;
  }

  async #sendDatagrams(end: number): Promise<number> {
    let keys = 0;
    for (; performance.now() < end; keys += KEYS_PER_DATAGRAM) {
      await this.#bare.send(DATAGRAM, "127.0.0.1", this.#target.bare);
    }
    return keys;
  }

  #key(): string {
    this.#nextKey = (this.#nextKey + 1) % KEY_POOL;
    return this.#keys[this.#nextKey] as string;
  }

  async #ask<Answer>(request: ReceiverRequest): Promise<Answer> {
    return await this.#receiver.request(request) as Answer;
  }
}
