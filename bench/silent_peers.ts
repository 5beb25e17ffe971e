/**
 * Nodes that have nothing to say but heartbeats, in the process that `silent.ts` starts. Each has a socket and an
 * address of the loopback network. Its heartbeats go to the group and say that it hears the measured node; it answers
 * that node's questions, as a real one does.
 *
 * @module
 */

import { createSocket, type Socket } from "node:dgram";
import { clearInterval, setInterval, setTimeout } from "node:timers";
import { randomBytes } from "../adapters/system.ts";
import { encodePacket } from "../mod.ts";
import { encodeControl, encodeExtension, type Extension, MALFORMED, readExtension } from "../src/wire/extension.ts";
import {
  HEADER_LENGTH,
  NODE_ID_LENGTH,
  PATH_GROUP,
  PATH_HEARD,
  TOKEN_LENGTH,
  TYPE_CATCH_UP,
  TYPE_HEARTBEAT,
  TYPE_STATE,
} from "../src/wire/layout.ts";
import { stampUuid } from "../src/wire/node_id.ts";
import { packetType, scanPacket } from "../src/wire/packet.ts";
import { writeHeard } from "../src/wire/told_peers.ts";
import { serve } from "./peer.ts";
import type { SilentPeersRequest } from "./silent_protocol.ts";

interface SilentPeer {
  readonly socket: Socket;
  readonly id: Uint8Array;
  readonly token: Uint8Array;
  /** A heartbeat without its extension. */
  readonly body: Uint8Array;
}

const GROUP = "239.0.0.1";
const HEARTBEAT_MS = 5000;
const TICK_MS = 50;
// The last batch is an hour old: before the measured node was opened.
const POSITION = { last: 1000, oldest: 1001, age: 3_600_000 };
const BASE = { first: POSITION.last + 1, age: POSITION.age };

let peers: readonly SilentPeer[] = [];
let timer: ReturnType<typeof setInterval> | undefined;

await serve(async ({ count, port, nodeId }: SilentPeersRequest) => {
  peers = await Promise.all(Array.from({ length: count }, (_, i) => silentPeer(i)));
  const perTick = (count * TICK_MS) / HEARTBEAT_MS;
  const heard = writeHeard([Uint8Array.from(nodeId)]);
  const heartbeats = peers.map((peer) => heartbeat(peer, { path: PATH_GROUP, heard }));
  let next = 0;
  const tick = () => {
    for (let i = 0; i < perTick; i++, next = (next + 1) % count) {
      peers[next]?.socket.send(heartbeats[next] as Uint8Array, port, GROUP);
    }
  };
  // The first of all at twenty times the speed, so that they are known soon.
  for (let i = 0; i < count / perTick; i++) setTimeout(tick, (i * TICK_MS) / 20);
  timer = setInterval(tick, TICK_MS);
  return {};
});
clearInterval(timer);
for (const { socket } of peers) socket.close();

async function silentPeer(i: number): Promise<SilentPeer> {
  const [id, token] = [stampUuid(randomBytes(NODE_ID_LENGTH)), randomBytes(TOKEN_LENGTH)];
  const host = `127.1.${Math.floor(i / 250)}.${1 + (i % 250)}`;
  const socket = createSocket("udp4");
  await new Promise<void>((resolve) => socket.bind(0, host, resolve));
  socket.setMulticastInterface("127.0.0.1");
  const key = new TextEncoder().encode(`${host}:${socket.address().port}`);
  const peer = { socket, id, token, body: encodePacket({ type: TYPE_HEARTBEAT, nodeId: id, keyHash: 0n, key }) };
  socket.on("message", (data, { address, port }) => {
    const answer = answerTo(peer, data);
    if (answer !== undefined) socket.send(answer, port, address);
  });
  return peer;
}

function answerTo(peer: SilentPeer, data: Uint8Array): Uint8Array | undefined {
  const type = packetType(data);
  const question = readExtension(data, type === TYPE_CATCH_UP ? HEADER_LENGTH : scanPacket(data));
  if (question === undefined || question === MALFORMED || question.nonce === undefined) return undefined;
  const { id, token } = peer;
  const { nonce } = question;
  if (type === TYPE_HEARTBEAT) return heartbeat(peer, { echo: nonce, path: PATH_HEARD, token });
  if (type !== TYPE_CATCH_UP) return undefined;
  return encodeControl(TYPE_STATE, id, { position: POSITION, nonce, token, base: BASE });
}

function heartbeat({ body }: SilentPeer, extension: Extension): Uint8Array {
  return Uint8Array.from([...body, ...encodeExtension({ position: POSITION, ...extension })]);
}
