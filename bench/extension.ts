/**
 * What the extension costs on the wire: the same keys published by a node with it and by one without, and the difference
 * of the datagrams' lengths.
 *
 * @module
 */

import { randomBytes, systemClock } from "../adapters/system.ts";
import { MeshBus, type MeshOptions } from "../mod.ts";
import { TYPE_BATCH } from "../src/wire/layout.ts";
import { packetType } from "../src/wire/packet.ts";
import { figure, print } from "./figures.ts";
import { asciiKeys } from "./keys.ts";

const KEYS = asciiKeys(1_000);
// By default a datagram has 20 keys, with or without the extension; in full ones the extension may displace a key.
const lengths = { extended: await lengthsOf("extended"), plain: await lengthsOf("go-warp") };
if (lengths.extended.length !== lengths.plain.length || lengths.plain.length === 0) {
  throw new Error("The same keys must make as many datagrams");
}
const costs = lengths.extended.map((length, i) => length - (lengths.plain[i] as number));
print([figure({ name: "extension.batch", unit: "bytes", values: costs })]);

async function lengthsOf(wire: NonNullable<MeshOptions["wire"]>): Promise<number[]> {
  const found: number[] = [];
  const mesh = await MeshBus.open({
    wire,
    multicast: false,
    peers: ["127.0.0.2:9"],
    advertiseAddr: "127.0.0.1:7946",
    clock: systemClock,
    randomBytes,
    bind() {
      const send = (data: Uint8Array) => {
        if (packetType(data) === TYPE_BATCH) found.push(data.length);
        return Promise.resolve();
      };
      const socket = { adapter: "memory", unmet: [], host: "127.0.0.1", port: 7946 } as const;
      const done = () => Promise.resolve();
      return Promise.resolve({ ...socket, receiveBuffer: undefined, send, join: done, leave: done, close: done });
    },
    resolve: (host) => Promise.resolve([host]),
    resolveSrv: () => Promise.reject(new Error("no look-ups")),
    networkInterfaces: () => [],
  });
  await Promise.all(KEYS.map((key) => mesh.publish(key)));
  await mesh.close();
  return found;
}
