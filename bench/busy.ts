/**
 * Busy host benchmark: many busy processes on one host. It counts the datagrams that are requested by NAK although the
 * system has dropped none.
 *
 *     node --import tsx bench/busy.ts [PROCESSES] [SECONDS] [BUSY_MS] [EVERY_MS]
 *
 * By default 60 processes, each busy for 5 of each 100 ms, publish for 10 s by multicast on the loopback interface.
 * Prints one JSON object: sums over all processes, and how many datagrams the system has dropped.
 *
 * @module
 */

import { spawn } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { droppedDatagrams } from "../tests/support/dropped_datagrams.ts";
import { freePort } from "../tests/support/free_port.ts";

const [processes = 60, seconds = 10, busy = 5, every = 100] = process.argv.slice(2).map(Number);
const program = fileURLToPath(new URL("busy_node.ts", import.meta.url));
const port = await freePort();
const before = droppedDatagrams();
const reports = await Promise.all(Array.from({ length: processes }, start));
const sums: Record<string, number> = {};
for (const report of reports) {
  for (const [name, value] of Object.entries(report)) {
    if (typeof value === "number") sums[name] = (sums[name] ?? 0) + value;
  }
}
const settled = reports.filter(({ state }) => state === "current").length;
console.log(
  JSON.stringify({ processes, seconds, busy, every, ...sums, settled, dropped: droppedDatagrams() - before }),
);

function start(): Promise<Record<string, unknown>> {
  const args = [port, processes - 1, seconds, busy, every].map(String);
  const child = spawn(process.execPath, ["--import", "tsx", program, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let text = "";
  child.stdout.on("data", (data) => text += data);
  return new Promise((resolve, reject) => {
    child.on("close", (code) => {
      const report = text.trim().split("\n").at(-1) ?? "";
      if (code === 0) resolve(JSON.parse(report));
      else reject(new Error(`Ended with ${code}`));
    });
  });
}
