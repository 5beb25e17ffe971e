/**
 * A thousand nodes that have nothing to say but heartbeats, in the process that `silent.ts` starts. Each has an address of
 * the loopback network, and its heartbeats go to the group and to the node that is measured, as a real one's do.
 *
 * @module
 */

import { createSocket } from "node:dgram";
import { clearInterval, setInterval, setTimeout } from "node:timers";
import { randomBytes } from "../adapters/system.ts";
import { encodePacket } from "../mod.ts";
import { encodeExtension } from "../src/wire/extension.ts";
import { NODE_ID_LENGTH, TOKEN_LENGTH, TYPE_HEARTBEAT } from "../src/wire/layout.ts";
import { stampUuid } from "../src/wire/node_id.ts";
import { serve } from "./peer.ts";
import { PEERS, type SilentWelcome } from "./silent_protocol.ts";

const GROUP = "239.0.0.1";
const HEARTBEAT_MS = 5000;
const TICK_MS = 50;
const PER_TICK = (PEERS * TICK_MS) / HEARTBEAT_MS;
// The last batch is an hour old: before the measured node was opened, so it need not ask for anything.
const POSITION = { last: 1000, oldest: 1001, age: 3_600_000 };

// Heartbeats of the measured node come in here too, and are of no use.
const socket = createSocket("udp4");
await new Promise<void>((resolve) => socket.bind(0, "0.0.0.0", resolve));
socket.setMulticastInterface("127.0.0.1");
socket.setMulticastLoopback(true);
const heartbeats = Array.from({ length: PEERS }, (_, i) => heartbeat(i));
let timer: ReturnType<typeof setInterval> | undefined;

await serve(({ port, address }: SilentWelcome) => {
  const [host = "", own = ""] = address.split(":");
  let next = 0;
  const tick = () => {
    for (let i = 0; i < PER_TICK; i++) {
      const { forOne, forAll } = heartbeats[next++ % PEERS] as ReturnType<typeof heartbeat>;
      socket.send(forAll, port, GROUP);
      socket.send(forOne, Number(own), host);
    }
  };
  // The first of all, at twenty times the speed, so that they are known soon.
  for (let i = 0; i < PEERS / PER_TICK; i++) setTimeout(tick, (i * TICK_MS) / 20);
  timer = setInterval(tick, TICK_MS);
  return {};
});
clearInterval(timer);
socket.close();

function heartbeat(i: number): { readonly forAll: Uint8Array; readonly forOne: Uint8Array } {
  const text = `127.1.${Math.floor(i / 250)}.${1 + (i % 250)}:${socket.address().port}`;
  const body = encodePacket({
    type: TYPE_HEARTBEAT,
    nodeId: stampUuid(randomBytes(NODE_ID_LENGTH)),
    keyHash: 0n,
    key: new TextEncoder().encode(text),
  });
  const withBlock = (block: Uint8Array) => Uint8Array.from([...body, ...block]);
  return {
    forAll: withBlock(encodeExtension({ position: POSITION })),
    forOne: withBlock(encodeExtension({ position: POSITION, token: randomBytes(TOKEN_LENGTH) })),
  };
}
