// Busy hosts: processes that share one. Datagrams that are late, and not lost, are not requested.

import { assertEquals, assertLessOrEqual } from "@std/assert";
import process from "node:process";
import { test } from "node:test";
import { droppedDatagrams } from "../support/dropped_datagrams.ts";
import { freePort } from "../support/free_port.ts";
import { withPrograms } from "../support/programs.ts";
import { sized } from "../support/size.ts";

const PROCESSES = sized(16, 8);
const SECONDS = 3;
/** Milliseconds of other work in so many: eight such processes need more than a host with few cores has. */
const [BUSY_MS, EVERY_MS] = [20, 50];

const skip = process.platform === "linux" ? false : "Only Linux tells what it has dropped";

test(
  "datagrams that the system has not dropped are hardly ever requested, however busy the host is",
  { skip },
  () =>
    withPrograms(async (start) => {
      const port = await freePort();
      const before = droppedDatagrams();
      const args = [port, PROCESSES - 1, SECONDS, BUSY_MS, EVERY_MS].map(String);
      const nodes = Array.from({ length: PROCESSES }, () => start("node", "bench/busy_node.ts", { args }));
      const known = (line: string) => (JSON.parse(line) as { readonly known?: number }).known;
      const counts = await Promise.all(nodes.map((node) => node.line(known, "how many it knows")));
      assertEquals(counts, nodes.map(() => PROCESSES - 1));
      const reports = await Promise.all(nodes.map(async (node) => {
        assertEquals(await node.ended(), 0, node.describe());
        return JSON.parse(node.lines.at(-1) ?? "") as Record<"delivered" | "missing" | "gaps", number>;
      }));
      const sum = (name: "delivered" | "missing" | "gaps") =>
        reports.reduce((all, { [name]: count }) => all + count, 0);
      // All processes of this host, others too, share this count.
      const lost = droppedDatagrams() - before;
      console.log(`  ${sum("missing")} of ${sum("delivered")} were requested, ${lost} were dropped`);
      assertLessOrEqual(sum("missing"), lost + sum("delivered") / 500);
    }),
);
