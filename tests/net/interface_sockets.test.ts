// The interface sockets: a node's sockets while interfaces come and go, on sockets that only record what is sent.
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { VirtualClock } from "../../adapters/memory/clock.ts";
import { InterfaceSockets } from "../../src/net/interface_sockets.ts";
import { checkOptions } from "../../src/options.ts";
import type { Bind } from "../../src/platform/datagram_socket.ts";
import type { NetworkInterface } from "../../src/platform/host.ts";

const GROUP = "239.77.65.82";
const FIRST = { name: "first", address: "10.0.0.1", internal: false, netmask: "255.0.0.0" };
const SECOND = { name: "second", address: "10.1.0.1", internal: false, netmask: "255.255.0.0" };

/** Links on all interfaces of a host, and from where they have sent to the group since the last call. */
async function openLinks(list: readonly NetworkInterface[]) {
  let sent: string[] = [];
  let port = 7_000;
  const bind: Bind = ({ host, multicastInterface }) => {
    const name = multicastInterface ?? host;
    let isClosed = false;
    return Promise.resolve({
      adapter: "memory",
      unmet: [],
      host,
      port: ++port,
      receiveBuffer: undefined,
      send(_, to) {
        if (to === GROUP) sent.push(isClosed ? `${name}, closed` : name);
        return Promise.resolve();
      },
      join: () => Promise.resolve(),
      leave: () => Promise.resolve(),
      close() {
        isClosed = true;
        return Promise.resolve();
      },
    });
  };
  const links = await InterfaceSockets.open(
    checkOptions({ interface: "all", group: GROUP, peers: ["10.0.0.9:7946"] }),
    {
      bind,
      clock: new VirtualClock(),
      randomBytes: (length) => new Uint8Array(length),
      networkInterfaces: () => list,
      resolve: () => Promise.resolve([]),
      resolveSrv: () => Promise.resolve([]),
    },
    { message() {}, error() {} },
  );
  const sentFrom = async () => {
    sent = [];
    await links.sendToGroup([Uint8Array.of(1)]);
    return [links.hasMulticast, ...sent];
  };
  return { links, sentFrom };
}

test("multicast leaves from each interface that is there", async () => {
  const { links, sentFrom } = await openLinks([FIRST]);
  assertEquals(await sentFrom(), [true, FIRST.address]);
  await links.update([FIRST, SECOND]);
  assertEquals(await sentFrom(), [true, FIRST.address, SECOND.address]);
  await links.update([SECOND]);
  assertEquals(await sentFrom(), [true, SECOND.address]);
  await links.update([]);
  assertEquals(await sentFrom(), [false]);
  await links.update([FIRST]);
  assertEquals(await sentFrom(), [true, FIRST.address]);
  await links.close();
});

test("multicast leaves from sockets that are bound anew after the others were closed", async () => {
  const { links, sentFrom } = await openLinks([FIRST]);
  assertEquals(await sentFrom(), [true, FIRST.address]);
  await links.close();
  assertEquals(await sentFrom(), [true, `${FIRST.address}, closed`]);
  await links.reopen();
  assertEquals(await sentFrom(), [true, FIRST.address]);
  await links.close();
});
