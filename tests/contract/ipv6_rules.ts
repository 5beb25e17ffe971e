// IPv6 rules: the part of the adapter contract that holds for IPv6 alone.
import { assert, assertEquals } from "@std/assert";
import { BindError, type DatagramSocket } from "../../src/platform/datagram_socket.ts";
import { bytes, Inbox } from "../support/inbox.ts";
import { type ContractKit, type Open, randomGroup } from "./kit.ts";

/** The rules of IPv6 in addition to those of both families. */
export function ipv6Rules(kit: ContractKit): void {
  const { address, any, multicastInterface } = kit;
  const { more = [] } = kit.contract;

  kit.test("a socket of IPv6 leaves the port to IPv4", async (open) => {
    const [six, four] = [new Inbox(), new Inbox()];
    const [to, other] = await openBoth(open, any, six, four);
    const [fromSix, fromFour] = [await open(), await open({ host: "127.0.0.1" })];
    await fromSix.send(bytes("six"), address, to.port);
    await fromFour.send(bytes("four"), "127.0.0.1", other.port);
    await kit.until(() => six.received.length > 0 && four.received.length > 0, "both arrive");
    assertEquals([six.texts, four.texts], [["six"], ["four"]]);
    assertEquals(four.sources, [`127.0.0.1:${fromFour.port}`]);
  });

  kit.test("addresses are accepted in any form, and reported in the form of RFC 5952", async (open) => {
    const inbox = new Inbox();
    const to = await open({ host: longForm(address) }, inbox);
    assertEquals(to.host, address);
    const from = await open();
    await from.send(bytes("hello"), longForm(address), to.port);
    await kit.until(() => inbox.received.length === 1, "the datagram arrives");
    assertEquals(inbox.sources, [`${address}:${from.port}`]);
  });

  for (const source of more) {
    kit.test(`${source} is reported as it is, and can be answered`, async (open) => {
      const [asked, answered] = [new Inbox(), new Inbox()];
      // Where the runtime omits the zone, the socket must know its interface.
      const server = await open({ host: any, multicastInterface }, asked);
      const client = await open({ host: source }, answered);
      assertEquals(client.host, source);
      await client.send(bytes("question"), source, server.port);
      await kit.until(() => asked.received.length === 1, "the question arrives");
      assertEquals(asked.sources, [`${source}:${client.port}`]);
      await server.send(bytes("answer"), source, client.port);
      await kit.until(() => answered.received.length === 1, "the answer arrives");
    });
  }

  const linkLocal = more.find((each) => each.includes("%"));
  if (linkLocal === undefined) return;

  const unbound = { ...kit.plain, host: any, multicastInterface, sendsMulticast: true };
  kit.testIfAble(
    "the datagrams of an unbound socket on the link come from its link-local address",
    unbound,
    async (open) => {
      const inbox = new Inbox();
      const joinGroup = randomGroup(6, "link");
      const to = await open({ host: any, joinGroup, multicastInterface }, inbox);
      const [from, bound] = [await open(unbound), await open({ ...unbound, host: address })];
      await from.send(bytes("unbound"), joinGroup, to.port);
      await bound.send(bytes("bound"), joinGroup, to.port);
      await kit.until(() => inbox.received.length === 2, "both arrive");
      assertEquals(inbox.sources, [`${linkLocal}:${from.port}`, `${address}:${bound.port}`]);
    },
  );

  kit.test("a link-local address is bound with its zone only", async () => {
    const [bare = ""] = linkLocal.split("%");
    const error = await kit.assertBindFails({ host: bare }, "EADDRNOTAVAIL");
    assert(error.message.includes(bare), error.message);
  });
}

/** Binds both on one port. A port that is free for IPv6 may be in use for IPv4 on this host, so a few are tried. */
async function openBoth(open: Open, any: string, six: Inbox, four: Inbox): Promise<[DatagramSocket, DatagramSocket]> {
  for (let attempt = 1;; attempt++) {
    const to = await open({ host: any }, six);
    try {
      return [to, await open({ host: "0.0.0.0", port: to.port }, four)];
    } catch (error) {
      if (attempt === 5 || !(error instanceof BindError) || error.code !== "EADDRINUSE") throw error;
    }
  }
}

/** `fd00::1` as `FD00:0:0:0:0:0:0:1`. */
function longForm(address: string): string {
  const [head = "", tail = ""] = address.split("::").map((half) => half.split(":").filter((part) => part !== ""));
  const zeros = new Array(8 - head.length - tail.length).fill("0");
  return [...head, ...zeros, ...tail].join(":").toUpperCase();
}
