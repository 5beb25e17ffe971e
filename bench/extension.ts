/**
 * Extension benchmark: the cost of the extension on the wire. A node with it and one without publish the same keys; the
 * figure is the difference of the lengths of their datagrams.
 *
 * @module
 */

import { systemClock } from "../adapters/system.ts";
import type { MeshOptions } from "../mod.ts";
import { TYPE_BATCH } from "../src/wire/layout.ts";
import { packetType } from "../src/wire/packet.ts";
import { figure, print } from "./figures.ts";
import { asciiKeys } from "./keys.ts";
import { openOffline } from "./offline_node.ts";

const KEYS = asciiKeys(1_000);
// In full datagrams the extension may displace a key.
const BATCH_SIZE = 20;
const lengths = { extended: await lengthsOf("extended"), plain: await lengthsOf("go-warp") };
if (lengths.extended.length !== lengths.plain.length || lengths.plain.length === 0) {
  throw new Error("The same keys must make as many datagrams");
}
const costs = lengths.extended.map((length, i) => length - (lengths.plain[i] as number));
print([figure({ name: "extension.batch", unit: "bytes", values: costs })]);

async function lengthsOf(wire: NonNullable<MeshOptions["wire"]>): Promise<number[]> {
  const found: number[] = [];
  const { mesh } = await openOffline({ wire, batchSize: BATCH_SIZE }, systemClock, (data) => {
    if (packetType(data) === TYPE_BATCH) found.push(data.length);
  });
  await Promise.all(KEYS.map((key) => mesh.publish(key)));
  await mesh.close();
  return found;
}
