/**
 * Drop benchmark: keys sent by unicast to another host, where both hosts drop a quarter of what comes in. The hosts are
 * two network namespaces of the benchmark's own, which drop at random. A key that is neither delivered nor covered by a
 * gap is lost. Prints nothing when namespaces cannot be made, and says why on standard error.
 *
 * @module
 */

import process from "node:process";
import type { MeshOptions } from "../mod.ts";
import type { Settled } from "../tests/support/loss_node.ts";
import { withLossProcesses } from "../tests/support/loss_process.ts";
import { type Host, unavailable, withHosts } from "../tests/hosts/support/netns.ts";
import type { Runtime } from "../tests/support/programs.ts";
import { figure, print } from "./figures.ts";

const SHARE = 0.25;
const KEYS = process.argv.includes("--quick") ? 5_000 : 200_000;
const WITHIN_MS = 20_000;
const ADDRESSES = ["10.77.1.1", "10.77.1.2"] as const;
const PORT = 7946;
const OPTIONS: MeshOptions = { port: PORT, multicast: false, heartbeat: 250, peerTimeout: 5_000 };

const runtime: Runtime = "Deno" in globalThis ? "deno" : "Bun" in globalThis ? "bun" : "node";

const reason = unavailable();
if (reason !== undefined) console.error(`drop is not measured: ${reason}`);
else await withHosts(ADDRESSES.map((address) => [address]), measure);

async function measure(hosts: readonly Host[]): Promise<void> {
  await withLossProcesses(async (start) => {
    const [publisher, receiver] = hosts.map((host) => start(runtime, host));
    if (publisher === undefined || receiver === undefined) throw new Error("There must be two hosts");
    await Promise.all([
      publisher.open({ ...OPTIONS, peers: [`${ADDRESSES[1]}:${PORT}`] }),
      receiver.open({ ...OPTIONS, peers: [`${ADDRESSES[0]}:${PORT}`] }),
    ]);
    for (const host of hosts) host.lose(SHARE);
    const begin = performance.now();
    const streams = await publisher.publish({ stream: "a", perTurn: 500, count: KEYS });
    const settled = await receiver.settle(streams, WITHIN_MS);
    report(settled, performance.now() - begin);
  });
}

function report({ delivered, covered, lost }: Settled, ms: number): void {
  print([
    figure({ name: "drop.delivered", unit: "share", values: [delivered / KEYS] }),
    figure({ name: "drop.covered", unit: "share", values: [covered / KEYS] }),
    figure({ name: "drop.lost", unit: "share", values: [lost / KEYS] }),
    figure({ name: "drop.ms", unit: "ms", values: [ms] }),
    figure({ name: "drop.rate", unit: "keys/s", values: [(delivered / ms) * 1000] }),
  ]);
}
