/**
 * Silent peers: nodes that publish nothing, in the process that `silent.ts` starts. Each has a socket and an address of
 * the loopback network. Its heartbeats go to the group and say that it receives the multicast of the measured node, and
 * it answers that node's path challenges and position requests, as a real node does.
 *
 * @module
 */

import { createSocket, type Socket } from "node:dgram";
import { clearInterval, setInterval, setTimeout } from "node:timers";
import { PATH_GROUP } from "../src/wire/layout.ts";
import { writeHeard } from "../src/wire/peer_exchange.ts";
import { serve } from "./worker_process.ts";
import { SilentPeer } from "./silent_peer.ts";
import type { SilentPeersRequest } from "./silent_protocol.ts";

interface Reached {
  readonly socket: Socket;
  readonly peer: SilentPeer;
}

const GROUP = "239.0.0.1";
const HEARTBEAT_MS = 5000;
const TICK_MS = 50;

let peers: readonly Reached[] = [];
let timer: ReturnType<typeof setInterval> | undefined;

await serve(async ({ count, port, nodeId }: SilentPeersRequest) => {
  peers = await Promise.all(Array.from({ length: count }, (_, i) => reached(i)));
  const perTick = (count * TICK_MS) / HEARTBEAT_MS;
  const heard = writeHeard([Uint8Array.from(nodeId)]);
  const heartbeats = peers.map(({ peer }) => peer.heartbeat({ path: PATH_GROUP, heard }));
  let next = 0;
  const tick = () => {
    for (let i = 0; i < perTick; i++, next = (next + 1) % count) {
      peers[next]?.socket.send(heartbeats[next] as Uint8Array, port, GROUP);
    }
  };
  // The first heartbeats are sent at twenty times the speed, so that the peers are known soon.
  for (let i = 0; i < count / perTick; i++) setTimeout(tick, (i * TICK_MS) / 20);
  timer = setInterval(tick, TICK_MS);
  return {};
});
clearInterval(timer);
for (const { socket } of peers) socket.close();

async function reached(i: number): Promise<Reached> {
  const host = `127.1.${Math.floor(i / 250)}.${1 + (i % 250)}`;
  const socket = createSocket("udp4");
  await new Promise<void>((resolve) => socket.bind(0, host, resolve));
  socket.setMulticastInterface("127.0.0.1");
  const peer = new SilentPeer(`${host}:${socket.address().port}`);
  socket.on("message", (data, { address, port }) => {
    const answer = peer.answer(data);
    if (answer !== undefined) socket.send(answer, port, address);
  });
  return { socket, peer };
}
