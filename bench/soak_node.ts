/**
 * Soak receiver: loses a share of the incoming datagrams, and counts the keys of each round, `ROUND:INDEX`.
 *
 *     soak_node.ts PORT KEYS
 *
 * @module
 */

import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { systemPorts } from "../adapters/auto.ts";
import { SeededRandom } from "../adapters/memory/random.ts";
import { MeshBus } from "../src/mesh_bus.ts";
import { lossy } from "./lossy_socket.ts";
import { serve } from "./worker_process.ts";

/** A request to the receiver: to lose a share from now on, or to report on a round when it is over. */
export type SoakRequest = { readonly do: "lose"; readonly share: number } | {
  readonly do: "report";
  readonly round: number;
};

/** The receiver's report on a round. */
export interface SoakReport {
  readonly adapter: string;
  /** Number of different keys. */
  readonly keys: number;
  /** Number of keys that came more than once. */
  readonly repeated: number;
  /** Number of events with another cause than `publish`. */
  readonly gaps: number;
  readonly missing: number;
  readonly recovered: number;
  readonly requests: number;
  /** Resident memory of the process, in bytes. */
  readonly rss: number;
}

const [port = 0, count = 1_000_000] = process.argv.slice(2).map(Number);
const random = new SeededRandom(process.pid);
const loss = { share: 0 };
const mesh = await MeshBus.open({
  ...systemPorts,
  interface: "127.0.0.1",
  port,
  bind: lossy(systemPorts.bind, { share: 0, seed: 1, always: () => random.chance(loss.share), onLoss: () => {} }),
});
let adapter = "";
mesh.events.listen((event) => {
  if (event.type === "opened") adapter = event.adapter;
});
const seen = new Uint8Array(count);
let round = 0;
let keys = 0;
let repeated = 0;
let gaps = 0;
mesh.subscribe({ prefix: "" }, ({ key, cause }) => {
  if (cause !== "publish") {
    gaps++;
    return;
  }
  const colon = key.indexOf(":");
  if (Number(key.slice(0, colon)) !== round) return;
  const index = Number(key.slice(colon + 1));
  if (seen[index] === 0) keys++;
  else repeated++;
  seen[index] = 1;
});

await serve(async (request: SoakRequest): Promise<SoakReport | true> => {
  if (request.do === "lose") {
    loss.share = request.share;
    return true;
  }
  const end = performance.now() + 20_000;
  while (keys < count && performance.now() < end) await sleep(10);
  const { missing, recovered, naksSent: requests } = mesh.metrics();
  const report = { adapter, keys, repeated, gaps, missing, recovered, requests, rss: process.memoryUsage().rss };
  seen.fill(0);
  keys = repeated = gaps = 0;
  round = request.round + 1;
  return report;
});
await mesh.close();
