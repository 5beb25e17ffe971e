/**
 * Blocked subscriber benchmark: the effect of one subscriber whose callback blocks on the others. A publisher, a
 * healthy node and a blocked one run in processes of their own, on the loopback interface. Runs with and without the
 * blocked node alternate.
 *
 *     node --import tsx bench/blocked.ts                            40 s each, 20,000 keys a second, 10 and 40 ms a key
 *     node --import tsx bench/blocked.ts --seconds 5 --rounds 1
 *     node --import tsx bench/blocked.ts --idle                     the third process runs, and its callback is fast
 *
 * It is not part of `main.ts`: it takes too long, and its figures are of three processes on two cores.
 *
 * @module
 */

import { spawn } from "node:child_process";
import process from "node:process";
import { createInterface } from "node:readline";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { type MeshBus, type MeshOptions, openMesh } from "../mod.ts";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "40" },
    rounds: { type: "string", default: "3" },
    rate: { type: "string", default: "20000" },
    heartbeat: { type: "string", default: "1000" },
    idle: { type: "boolean", default: false },
    role: { type: "string" },
    block: { type: "string", default: "0" },
    port: { type: "string", default: "0" },
  },
});

const RATE = Number(values.rate);
const HEARTBEAT = Number(values.heartbeat);

/** The report of a process at its end. */
interface Report {
  readonly role: string;
  readonly events: Readonly<Record<string, number>>;
  readonly causes: Readonly<Record<string, number>>;
  /** When it first reported that it had fallen behind, in milliseconds after the first key. */
  readonly toldAfter: number | null;
  readonly p50: number;
  readonly p99: number;
  readonly keys: number;
  readonly metrics: Readonly<Record<string, number>>;
}

if (values.role === undefined) await main();
else await play(values.role);

async function play(role: string): Promise<void> {
  const options: MeshOptions = { interface: "127.0.0.1", heartbeat: HEARTBEAT, port: Number(values.port) };
  const mesh = await openMesh(options);
  const events: Record<string, number> = {};
  const causes: Record<string, number> = {};
  const latencies: number[] = [];
  let keys = 0;
  let firstAt: number | undefined;
  let toldAfter: number | null = null;
  mesh.events.listen(({ type }) => events[type] = (events[type] ?? 0) + 1);
  const block = Number(values.block);
  if (role !== "publisher") {
    mesh.subscribe({ prefix: "" }, ({ key, cause }) => {
      causes[cause] = (causes[cause] ?? 0) + 1;
      firstAt ??= now();
      if (cause !== "publish") toldAfter ??= now() - firstAt;
      else if (role === "healthy") latencies.push(now() - Number(key.slice(key.indexOf(":") + 1)));
      keys++;
      if (block > 0) { for (const end = performance.now() + block; performance.now() < end;); }
    });
  }
  console.log(JSON.stringify({ port: mesh.port }));
  for await (const line of createInterface({ input: process.stdin })) {
    if (line === "publish") await publish(mesh, Number(values.seconds));
    if (line === "peers") { while (mesh.peers().length < 1) await setTimeout(20); }
    if (line === "report") {
      const metrics = Object.fromEntries(Object.entries(mesh.metrics()).filter(([, value]) => value > 0));
      // In place and by number: a process that sorts for seconds would be declared lost.
      const sorted = Float64Array.from(latencies).sort();
      const at = (share: number) => sorted[Math.floor(share * (sorted.length - 1))] ?? NaN;
      const [p50, p99] = [at(0.5), at(0.99)];
      console.log(JSON.stringify({ role, events, causes, toldAfter, p50, p99, keys, metrics } satisfies Report));
    } else console.log("{}");
  }
  await mesh.close();
}

async function publish(mesh: MeshBus, seconds: number): Promise<void> {
  const start = now();
  for (let sent = 0; now() - start < seconds * 1000;) {
    const due = Math.floor(((now() - start) * RATE) / 1000);
    for (; sent < due; sent++) await mesh.publish(`${sent % 100_000}:${now().toFixed(3)}`);
    await setTimeout(1);
  }
}

// The only clock that the processes of one machine share.
function now(): number {
  return performance.timeOrigin + performance.now();
}

function start(role: string, port: number, block: number) {
  const args = [...process.execArgv, fileURLToPath(import.meta.url), "--role", role, "--port", `${port}`];
  const settings = ["--block", `${block}`, "--rate", `${RATE}`, "--heartbeat", `${HEARTBEAT}`];
  const child = spawn(process.execPath, [...args, ...settings, "--seconds", values.seconds], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const read = async () => JSON.parse((await lines.next()).value as string);
  return {
    read,
    ask(what: string): Promise<unknown> {
      child.stdin.write(`${what}\n`);
      return read();
    },
    kill: () => child.kill("SIGKILL"),
  };
}

async function run(block: number | undefined): Promise<Report[]> {
  const publisher = start("publisher", 0, 0);
  const { port } = await publisher.read() as { port: number };
  const others = [start("healthy", port, 0)];
  if (block !== undefined) others.push(start("blocked", port, block));
  for (const other of others) await other.read();
  for (const each of [publisher, ...others]) await each.ask("peers");
  await publisher.ask("publish");
  const reports: Report[] = [];
  for (const each of [publisher, ...others]) reports.push(await each.ask("report") as Report);
  for (const each of [publisher, ...others]) each.kill();
  return reports;
}

async function main(): Promise<void> {
  const cases = [undefined, 10, 40];
  for (let round = 1; round <= Number(values.rounds); round++) {
    for (const block of cases) {
      const what = block === undefined
        ? "alone"
        : `beside ${values.idle ? "an idle one" : `one with ${block} ms a key`}`;
      console.log(`round ${round}, ${what}`);
      for (const report of await run(block !== undefined && values.idle ? 0 : block)) {
        const { role, events, causes, toldAfter, p50, p99, metrics } = report;
        const latency = role === "healthy" ? ` p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms` : "";
        const told = toldAfter === null ? "" : ` told after ${toldAfter.toFixed(0)} ms`;
        const { missing, recovered, naksSent, gaps, slowCallbacks, keysDropped, sendRate } = metrics;
        const counts = { missing, recovered, naksSent, gaps, slowCallbacks, keysDropped, sendRate };
        console.log(`  ${role}:${latency}${told} ${JSON.stringify({ ...events, ...causes, ...counts })}`);
      }
    }
  }
}
