// Awaited publishes and tokens between hosts whose system drops a tenth of what they receive.

import { assert, assertEquals } from "@std/assert";
import type { MeshOptions } from "../../mod.ts";
import { type MeshProcess, withProcesses } from "../support/mesh_process.ts";
import { type Runtime, RUNTIMES } from "../support/programs.ts";
import { sized } from "../support/size.ts";
import { hostTest, withHosts } from "./support/netns.ts";

const ADDRESSES = ["10.77.1.1", "10.77.1.2", "10.77.1.3"] as const;
const SHARE = 0.1;
// 20 heartbeats in succession are lost in one of 10^19 runs. A machine under load stalls a process now and then.
const OPTIONS: MeshOptions = { heartbeat: 1_000, peerTimeout: 20_000 };
const COUNT = sized(400, 150);
/** Longest wait for one acknowledgement or token, in milliseconds: far more than needed. */
const TIMEOUT = 40_000;

/** A process on each of three hosts, one of each runtime, which know each other and lose a tenth. */
function withLossyTrio(body: (trio: readonly MeshProcess[]) => Promise<void>): Promise<void> {
  return withHosts(ADDRESSES.map((address) => [address]), (hosts) =>
    withProcesses(async (start) => {
      const trio = hosts.map((host, i) => start(RUNTIMES[i] as Runtime, host));
      await Promise.all(trio.map((child) => child.openAnywhere(OPTIONS)));
      for (const child of trio) await child.knows(...trio.filter((other) => other !== child).map(({ node }) => node));
      for (const host of hosts) host.lose(SHARE);
      await body(trio);
      for (const host of hosts) assert(host.lost() > 0, "The host must have dropped datagrams");
    }));
}

hostTest(
  "three hosts, one of each runtime, a tenth lost: what is acknowledged was delivered",
  () =>
    withLossyTrio(async (trio) => {
      const [publisher, ...others] = trio as readonly [MeshProcess, ...MeshProcess[]];
      const all = Object.fromEntries(others.map(({ node }) => [node.nodeId, "delivered"]));
      for (let i = 0; i < COUNT; i++) {
        const isPrefix = i % 10 === 9;
        const topic = isPrefix ? { prefix: `user ${i}:` } : `key ${i}`;
        assertEquals(await publisher.publishAndAwait(topic, { timeout: TIMEOUT }), { outcomes: all }, `number ${i}`);
        for (const child of i % 10 >= 8 ? others : []) {
          const received = await child.received();
          assert(received.includes(isPrefix ? `user ${i}:*` : `key ${i}`), `number ${i} at ${child.runtime}`);
        }
      }
      for (const child of others) {
        const received = new Set(await child.received());
        for (let i = 0; i < COUNT; i++) assert(received.has(i % 10 === 9 ? `user ${i}:*` : `key ${i}`), `number ${i}`);
      }
      const { awaiting, acksReceived, retransmitsSent } = await publisher.metrics();
      assertEquals(awaiting, 0);
      assert(acksReceived > COUNT && retransmitsSent > 0, `${acksReceived} and ${retransmitsSent}`);
    }),
);

hostTest(
  "three hosts, one of each runtime, a tenth lost: a token is reached when its keys were delivered",
  () =>
    withLossyTrio(async (trio) => {
      let token: string | undefined;
      for (let i = 0; i < COUNT / 3; i++) {
        const [writer, reader] = [trio[i % 3], trio[(i + 1) % 3]] as [MeshProcess, MeshProcess];
        await writer.publish(`key ${i}`);
        token = await writer.token(token);
        await reader.reached(token, TIMEOUT);
        const received = new Set(await reader.received());
        // Those that the reader has written itself it does not hear.
        for (let j = Math.max(0, i - 8); j <= i; j++) {
          if (trio[j % 3] !== reader) assert(received.has(`key ${j}`) || received.has(""), `key ${j} at ${i}`);
        }
      }
    }),
);
