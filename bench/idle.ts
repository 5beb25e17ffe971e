/**
 * Idle benchmark: latency from `publish` to the callback in another process, on a mesh with nothing else to do. It is
 * half of a round trip, as no common clock of two processes is precise enough. The control is a round trip between two
 * bare sockets.
 *
 * @module
 */

import { setTimeout } from "node:timers/promises";
import process from "node:process";
import { bind } from "../adapters/auto.ts";
import { openMesh } from "../mod.ts";
import { type Figure, figure, print, quantile } from "./figures.ts";
import type { EchoAddress, EchoRequest } from "./idle_echo.ts";
import { startPeer } from "./worker_process.ts";

// Pause between two keys, in which nothing is published.
const SPACING_MS = 110;
const SAMPLES = process.argv.includes("--quick") ? 12 : 100;
const WARM_UP = 3;
const DATAGRAM = new Uint8Array(38).fill(0x61);

let answered: () => void = () => {};
const echo = startPeer(new URL("./idle_echo.ts", import.meta.url));
const address = await echo.request({ type: "address" } satisfies EchoRequest) as EchoAddress;
const mesh = await openMesh({ port: address.port, interface: "127.0.0.1" });
const bare = await bind(
  { host: "127.0.0.1", port: 0, shared: false, sendsMulticast: false, multicastLoopback: false, multicastTtl: 1 },
  { message: () => answered(), error() {} },
);

await known();
mesh.subscribe({ prefix: "pong:" }, () => answered());
const samples = { mesh: [] as number[], bare: [] as number[] };
for (let i = -WARM_UP; i < SAMPLES; i++) {
  await setTimeout(SPACING_MS / 2);
  const viaMesh = await roundTrip(() => mesh.publish(`ping:${i}`));
  await setTimeout(SPACING_MS / 2);
  const viaBare = await roundTrip(() => bare.send(DATAGRAM, "127.0.0.1", address.bare));
  if (i < 0) continue;
  samples.mesh.push(viaMesh / 2);
  samples.bare.push(viaBare / 2);
}
print([...figures("mesh", "bare"), ...figures("bare")]);
await Promise.all([mesh.close(), bare.close(), echo.end()]);

function figures(name: "mesh" | "bare", control?: "bare"): Figure[] {
  return [0.5, 0.99].map((q) => {
    const suffix = q === 0.5 ? "p50" : "p99";
    const single = (of: "mesh" | "bare") => ({
      name: `idle.${of}.${suffix}`,
      unit: "ms" as const,
      values: [quantile(samples[of], q)],
    });
    return figure(single(name), control && single(control));
  });
}

/** Milliseconds until the other side's answer arrives. */
async function roundTrip(send: () => Promise<void>): Promise<number> {
  const start = performance.now();
  const end = new Promise<number>((resolve) => answered = () => resolve(performance.now()));
  // Each mesh datagram comes twice, by multicast and by unicast: the first counts.
  await send();
  return await end - start;
}

async function known(): Promise<void> {
  while (mesh.peers().length === 0) await setTimeout(10);
}
