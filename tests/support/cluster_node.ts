/**
 * A program: the primary of a Node cluster whose workers run `host_node.ts`. It passes each line of its standard input
 * to a worker, by the number of the node that the line is for, and passes their output on. Its argument is the number
 * of workers.
 * @module
 */

import cluster, { type Worker } from "node:cluster";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

cluster.setupPrimary({ exec: fileURLToPath(new URL("host_node.ts", import.meta.url)), silent: true });
const workers = Array.from({ length: Number(process.argv[2]) }, fork);

function fork(): Worker {
  const worker = cluster.fork();
  const { stdout, stderr } = worker.process;
  if (stdout === null || stderr === null) throw new Error("A worker must have pipes");
  createInterface({ input: stdout }).on("line", (line) => console.log(line));
  stderr.pipe(process.stderr);
  worker.on("exit", (code, signal) => {
    if (code !== 0) process.exitCode = 1;
    if (code !== 0) console.error(`A worker has ended with ${signal ?? code}`);
  });
  return worker;
}

const input = createInterface({ input: process.stdin });
input.on("line", (line) => {
  const { node } = JSON.parse(line) as { readonly node: number };
  workers[node % workers.length]?.process.stdin?.write(`${line}\n`);
});
input.on("close", () => {
  for (const worker of workers) {
    worker.process.stdin?.end();
    // Nothing else closes the channel between the two, which keeps a worker alive.
    worker.disconnect();
  }
});
