// Echo probes: what unknown nodes get in response, and what is left for peers.
import { describe, test } from "node:test";
import { assertEquals } from "@std/assert";
import type { DatagramSocket } from "../../mod.ts";
import { decodeExtension, decodePacket, encodeExtension, type MeshBus } from "../../mod.ts";
import { A, assertCodes, B, C, HEARTBEAT, Lan, withLan } from "../support/diagnosed_lan.ts";
import { nodeIdBytes } from "../support/hex.ts";

const UNKNOWN_NODE = new Uint8Array(16).fill(7);
const GROUP = "239.0.0.1";

interface Probe {
  readonly size?: number;
  readonly byGroup?: boolean;
  /** Length of the probe, in bytes. */
  readonly length?: number;
  /** The node that shall respond: each one that receives it, when absent. */
  readonly stream?: string;
  /** The id that the probe carries. */
  readonly id?: string;
}

/** A process on a host that has no node of the mesh. */
class Requester {
  readonly answers: Uint8Array[] = [];
  #socket: DatagramSocket | undefined;

  async open({ network }: Lan, address = "10.0.0.66"): Promise<this> {
    this.#socket = await network.host(address).bind({
      host: "0.0.0.0",
      port: 7946,
      shared: true,
      joinGroup: GROUP,
      sendsMulticast: true,
      multicastLoopback: false,
      multicastTtl: 1,
      receiveBuffer: 2 ** 24,
    }, {
      message: (data) => {
        if (data[1] === 0x15) this.answers.push(data.slice());
      },
      error() {},
    });
    return this;
  }

  async probe(to: string, { size = 0, byGroup = false, length = 80, stream, id }: Probe): Promise<void> {
    const nodeId = id === undefined ? UNKNOWN_NODE : nodeIdBytes(id);
    const extension = encodeExtension({
      nonce: 9,
      measure: { size, byGroup },
      ...stream !== undefined && { stream: nodeIdBytes(stream) },
    });
    const head = Uint8Array.of(0x57, 0x14, ...nodeId, ...extension);
    const padding = Math.max(0, length - head.length - 3);
    await this.#socket?.send(
      Uint8Array.of(...head, 17, padding >> 8, padding & 255, ...new Uint8Array(padding)),
      to,
      7946,
    );
  }

  /** Sends so many probes within 10 ms, and counts the responses. */
  async count({ network: { clock } }: Lan, to: string, copies: number, probe: Probe): Promise<number> {
    this.answers.length = 0;
    for (let i = 1; i <= copies; i++) {
      await this.probe(to, probe);
      // As many as the queue of one node holds.
      if (i % 500 === 0) await clock.advance(1);
    }
    await clock.advance(10);
    return this.answers.length;
  }

  async send(to: string, data: Uint8Array): Promise<void> {
    await this.#socket?.send(data, to, 7946);
  }

  async close(): Promise<void> {
    await this.#socket?.close();
  }
}

/** A node on B that has been there for a heartbeat, and an unknown one. */
function withRequester(body: (lan: Lan, requester: Requester, node: MeshBus) => Promise<void>): () => Promise<void> {
  return withLan(async (lan) => {
    const node = await lan.open(B);
    await lan.pass(1);
    const requester = await new Requester().open(lan);
    await body(lan, requester, node);
    await requester.close();
  });
}

describe("a probe of an unknown node", () => {
  test(
    "gets a response that reports what the node is, and leaves no trace",
    withRequester(async (lan, requester, node) => {
      assertEquals(await requester.count(lan, B, 1, {}), 1);
      const { rest } = decodePacket(requester.answers[0] ?? new Uint8Array());
      const { nonce, report, stream } = decodeExtension(rest) ?? {};
      assertEquals({ nonce, report, stream: [...stream ?? []] }, {
        nonce: 9,
        report: { port: 7946, heartbeat: HEARTBEAT, requester: 0, multicast: true, group: GROUP },
        stream: [...UNKNOWN_NODE],
      });
      assertEquals([node.peers(), node.metrics().peers], [[], 0]);
    }),
  );

  test(
    "gets no more bytes than it has, and nothing by the group",
    withRequester(async (lan, requester, { nodeId: stream }) => {
      assertEquals(await requester.count(lan, B, 1, { size: 1400, length: 100 }), 1);
      assertEquals(requester.answers.map(({ length }) => length), [100]);
      assertEquals(await requester.count(lan, B, 1, { length: 40 }), 0);
      assertEquals(await requester.count(lan, B, 1, { byGroup: true }), 0);
      assertEquals(await requester.count(lan, B, 1, { byGroup: true, stream }), 0);
    }),
  );

  test(
    "gets 128 responses in a burst when it names the node, and 16 when it is for all",
    withRequester(async (lan, requester, { nodeId: stream }) => {
      assertEquals(await requester.count(lan, B, 1000, { stream }), 128);
      assertEquals(await requester.count(lan, B, 1000, {}), 16);
    }),
  );

  test(
    "that goes to the group brings few responses of each node to the advertised source",
    withLan(async (lan) => {
      for (const host of [A, B, C]) await lan.open(host);
      await lan.pass(1);
      const requester = await new Requester().open(lan);
      assertEquals(await requester.count(lan, GROUP, 100, {}), 3 * 16);
      await requester.close();
    }),
  );

  test(
    "in the name of a peer brings nothing by the group, unless it comes from that peer's host",
    withLan(async (lan) => {
      const [{ nodeId: id }, { nodeId: stream }] = [await lan.open(A), await lan.open(B)];
      await lan.pass(2);
      const requester = await new Requester().open(lan);
      assertEquals(await requester.count(lan, B, 20, { byGroup: true, id, stream }), 0);
      const neighbour = await new Requester().open(lan, A);
      assertEquals(await neighbour.count(lan, B, 20, { byGroup: true, id, stream }), 20);
      // This is checked separately for each of them.
      assertEquals(await neighbour.count(lan, GROUP, 20, { byGroup: true, id }), 0);
      await requester.close();
      await neighbour.close();
    }),
  );

  test(
    "leaves peers their responses: a diagnosis is complete while unknown nodes send 4,000 probes a second",
    withLan(async (lan) => {
      const [mesh, { nodeId: stream }] = [await lan.open(A), await lan.open(B)];
      await lan.pass(2);
      const requester = await new Requester().open(lan);
      assertEquals(await requester.count(lan, B, 2000, { stream }), 128);
      let isOver = false;
      const flood = async () => {
        while (!isOver) {
          for (let i = 0; i < 4; i++) await requester.probe(B, { stream });
          await new Promise<void>((resolve) => lan.network.clock.setTimer(resolve, 1));
        }
      };
      const flooding = flood();
      const diagnosis = await lan.diagnose(mesh);
      isOver = true;
      await lan.network.clock.run(flooding, 100);
      assertCodes(diagnosis);
      assertEquals(diagnosis.peers.map(({ lost, probes }) => [lost, probes]), [[0, 5]]);
      await requester.close();
    }),
  );

  test(
    "of a node that was heard and is not validated gets 16 responses by the group in a burst",
    withLan(async (lan) => {
      const { nodeId: stream } = await lan.open(B);
      await lan.pass(1);
      const requester = await new Requester().open(lan);
      const body = [0, 0, ...encodeExtension({ position: { last: 0, oldest: 1, age: 0 } })];
      await requester.send(B, Uint8Array.of(0x57, 0x02, ...UNKNOWN_NODE, ...body));
      await lan.network.clock.advance(1);
      assertEquals(await requester.count(lan, B, 100, { byGroup: true, stream }), 16);
      await requester.close();
    }),
  );
});
