/**
 * Soak test: one process publishes many keys at once, again and again, to one receiver on each runtime. All lose 2 % of
 * the incoming datagrams, the publisher too. The first rounds lose nothing, for comparison.
 *
 *     node --import tsx bench/soak.ts [--seconds 600] [--keys 1000000] [--loss 0.02] [--runtimes node,deno,bun]
 *
 * Prints a line for each round, and at the end one JSON object: keys lost, gaps, the sending rate as a share of that
 * without loss, and how memory has grown from the first third to the last.
 *
 * @module
 */

import { spawn } from "node:child_process";
import process from "node:process";
import { createInterface } from "node:readline";
import { setImmediate, setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { systemPorts } from "../adapters/auto.ts";
import { SeededRandom } from "../adapters/memory/random.ts";
import { BUN, DENO } from "../scripts/runtimes.ts";
import { MeshBus } from "../src/mesh_bus.ts";
import { freePort } from "../tests/support/free_port.ts";
import { lossy } from "./lossy_socket.ts";
import type { SoakReport, SoakRequest } from "./soak_node.ts";

/** Number of rounds without loss. */
const LOSSLESS = 3;

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "600" },
    keys: { type: "string", default: "1000000" },
    loss: { type: "string", default: "0.02" },
    runtimes: { type: "string", default: "node,deno,bun" },
  },
});
const count = Number(values.keys);
const runtimes = values.runtimes.split(",");
const COMMANDS: Readonly<Record<string, readonly string[]>> = {
  node: [process.execPath, "--import", "tsx"],
  deno: [DENO, "run", "-A", "--no-check", "--unstable-net"],
  bun: [BUN, "run"],
};

const port = await freePort();
const receivers = runtimes.map((runtime) => start(runtime));
const random = new SeededRandom(1);
const loss = { share: 0 };
const mesh = await MeshBus.open({
  ...systemPorts,
  interface: "127.0.0.1",
  port,
  bind: lossy(systemPorts.bind, { share: 0, seed: 1, always: () => random.chance(loss.share), onLoss: () => {} }),
});
while (mesh.peers().length < runtimes.length) await sleep(50);
await sleep(1000);

const rates: { lossless: number[]; lossy: number[] } = { lossless: [], lossy: [] };
const memory: number[][] = [];
const lost = { keys: 0, gaps: 0 };
const end = performance.now() + 1000 * Number(values.seconds);
for (let round = 0; round <= LOSSLESS || performance.now() < end; round++) {
  if (round === LOSSLESS) await lose(Number(values.loss));
  const begun = performance.now();
  for (let i = 0; i < count; i++) {
    const accepted = mesh.publish(`${round}:${i}`);
    // A publisher lets its event loop turn now and then, and waits when the queue is full.
    if (i % 500 === 499) {
      await accepted;
      await setImmediate();
    }
  }
  const name = round < LOSSLESS ? "lossless" : "lossy";
  while (mesh.metrics().pending + mesh.metrics().waiting > 0) await sleep(1);
  const seconds = (performance.now() - begun) / 1000;
  const reports = await Promise.all(receivers.map(({ ask }) => ask({ do: "report", round }) as Promise<SoakReport>));
  // Round 0 is for the compilers.
  if (round > 0) rates[name].push(count / seconds);
  for (const { keys, gaps } of reports) {
    if (gaps === 0) lost.keys += count - keys;
    lost.gaps += gaps;
  }
  memory.push([process.memoryUsage().rss, ...reports.map(({ rss }) => rss)]);
  const { sendRate, retransmitsSent } = mesh.metrics();
  console.error(
    `${round} ${name}: ${Math.round(count / seconds)} keys/s, rate ${
      Math.round(sendRate)
    }, ${retransmitsSent} retransmissions; ` +
      reports.map((each) => `${each.adapter} ${each.keys} of ${count}, ${each.gaps} gaps, ${each.missing} missing`)
        .join("; "),
  );
}
console.log(JSON.stringify({
  seconds: Number(values.seconds),
  keys: count,
  loss: Number(values.loss),
  rounds: memory.length,
  lostKeys: lost.keys,
  gaps: lost.gaps,
  keysPerSecond: { lossless: Math.round(median(rates.lossless)), lossy: Math.round(median(rates.lossy)) },
  share: Number((median(rates.lossy) / median(rates.lossless)).toFixed(3)),
  memory: Object.fromEntries(["publisher", ...runtimes].map((name, i) => {
    const bytes = memory.map((each) => each[i] ?? 0);
    const third = Math.ceil(bytes.length / 3);
    return [name, Number((median(bytes.slice(-third)) / median(bytes.slice(LOSSLESS, LOSSLESS + third))).toFixed(3))];
  })),
}));
await mesh.close();
await Promise.all(receivers.map(({ stop }) => stop()));

async function lose(share: number): Promise<void> {
  loss.share = share;
  await Promise.all(receivers.map(({ ask }) => ask({ do: "lose", share })));
}

function start(runtime: string) {
  const program = fileURLToPath(new URL("soak_node.ts", import.meta.url));
  const [command = "", ...words] = COMMANDS[runtime] ?? [];
  const child = spawn(command, [...words, program, String(port), String(count)], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    ask: async (request: SoakRequest): Promise<unknown> => {
      child.stdin.write(`${JSON.stringify(request)}\n`);
      const line = await lines.next();
      if (line.done) throw new Error(`The receiver on ${runtime} has ended`);
      return JSON.parse(line.value);
    },
    stop: async (): Promise<void> => {
      const ended = new Promise((resolve) => child.once("close", resolve));
      child.stdin.end();
      await ended;
    },
  };
}

function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
