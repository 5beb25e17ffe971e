/**
 * A thousand nodes that have nothing to say but heartbeats, in the process that `silent.ts` starts. Each has an address of
 * the loopback network; its heartbeats go to the group and to the node that is measured, and it answers that node's
 * questions, as a real one does.
 *
 * @module
 */

import { createSocket } from "node:dgram";
import { clearInterval, setInterval, setTimeout } from "node:timers";
import { randomBytes } from "../adapters/system.ts";
import { encodePacket } from "../mod.ts";
import { encodeControl, encodeExtension, MALFORMED, readExtension } from "../src/wire/extension.ts";
import {
  HEADER_LENGTH,
  NODE_ID_LENGTH,
  TOKEN_LENGTH,
  TYPE_CATCH_UP,
  TYPE_HEARTBEAT,
  TYPE_STATE,
} from "../src/wire/layout.ts";
import { formatNodeId, stampUuid } from "../src/wire/node_id.ts";
import { packetType } from "../src/wire/packet.ts";
import { serve } from "./peer.ts";
import { PEERS, type SilentWelcome } from "./silent_protocol.ts";

interface SilentPeer {
  readonly id: Uint8Array;
  readonly token: Uint8Array;
  readonly forAll: Uint8Array;
  readonly forOne: Uint8Array;
}

const GROUP = "239.0.0.1";
const HEARTBEAT_MS = 5000;
const TICK_MS = 50;
const PER_TICK = (PEERS * TICK_MS) / HEARTBEAT_MS;
// The last batch is an hour old: before the measured node was opened.
const POSITION = { last: 1000, oldest: 1001, age: 3_600_000 };
const BASE = { first: POSITION.last + 1, age: POSITION.age };

const socket = createSocket("udp4");
await new Promise<void>((resolve) => socket.bind(0, "0.0.0.0", resolve));
socket.setMulticastInterface("127.0.0.1");
socket.setMulticastLoopback(true);
const peers = Array.from({ length: PEERS }, (_, i) => silentPeer(i));
const byId = new Map(peers.map((peer) => [formatNodeId(peer.id), peer]));
let timer: ReturnType<typeof setInterval> | undefined;

socket.on("message", (data, { address, port }) => {
  if (packetType(data) !== TYPE_CATCH_UP) return;
  const question = readExtension(data, HEADER_LENGTH);
  if (question === undefined || question === MALFORMED) return;
  const { nonce, stream } = question;
  const asked = stream && byId.get(formatNodeId(stream));
  if (nonce === undefined || asked === undefined) return;
  const answer = encodeControl(TYPE_STATE, asked.id, { position: POSITION, nonce, token: asked.token, base: BASE });
  socket.send(answer, port, address);
});

await serve(({ port, address }: SilentWelcome) => {
  const [host = "", own = ""] = address.split(":");
  let next = 0;
  const tick = () => {
    for (let i = 0; i < PER_TICK; i++) {
      const { forAll, forOne } = peers[next++ % PEERS] as SilentPeer;
      socket.send(forAll, port, GROUP);
      socket.send(forOne, Number(own), host);
    }
  };
  // The first of all at twenty times the speed, so that they are known soon.
  for (let i = 0; i < PEERS / PER_TICK; i++) setTimeout(tick, (i * TICK_MS) / 20);
  timer = setInterval(tick, TICK_MS);
  return {};
});
clearInterval(timer);
socket.close();

function silentPeer(i: number): SilentPeer {
  const [id, token] = [stampUuid(randomBytes(NODE_ID_LENGTH)), randomBytes(TOKEN_LENGTH)];
  const text = `127.1.${Math.floor(i / 250)}.${1 + (i % 250)}:${socket.address().port}`;
  const key = new TextEncoder().encode(text);
  const body = encodePacket({ type: TYPE_HEARTBEAT, nodeId: id, keyHash: 0n, key });
  const withBlock = (block: Uint8Array) => Uint8Array.from([...body, ...block]);
  return {
    id,
    token,
    forAll: withBlock(encodeExtension({ position: POSITION })),
    forOne: withBlock(encodeExtension({ position: POSITION, token })),
  };
}
