// MemoryNetwork: hosts whose address changes.
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { describe, test } from "node:test";
import { type MemoryHost, MemoryNetwork } from "../../../adapters/memory.ts";
import { bytes, Inbox } from "../../support/inbox.ts";
import {
  A,
  assertBindFails,
  assertRejectsWithCode,
  B,
  C,
  GROUP,
  open,
  pair,
  WITH_GROUP,
} from "../../support/memory_sockets.ts";

const A6 = "fd00::1";
const B6 = "fd00::2";
const C6 = "fd00::3";

describe("MemoryHost.readdress", () => {
  test("the new address is the host's, and datagrams to the old one reach no socket", async () => {
    const { network, host, from, inbox } = await pair();
    host.readdress(C);
    assertEquals([host.address, addressesOf(host)], [C, ["127.0.0.1", C]]);
    await from.send(bytes("old"), B, 7946);
    await from.send(bytes("new"), C, 7946);
    await network.clock.advance(1);
    assertEquals(inbox.texts, ["new"]);
    assertEquals(network.stats.unreachable, 1);
  });

  test("a datagram under way to the old address reaches no socket", async () => {
    const { network, host, from, inbox } = await pair({ delay: { min: 5, max: 5 } });
    await from.send(bytes("late"), B, 7946);
    await network.clock.advance(4);
    host.readdress(C);
    await network.clock.advance(10);
    assertEquals([inbox.texts, network.stats.unreachable], [[], 1]);
  });

  test("a socket bound to the wildcard continues with the new source, and stays in its groups", async () => {
    const network = new MemoryNetwork();
    const [a, b] = [network.host(A), network.host(B)];
    const [heardByA, heardByB] = [new Inbox(), new Inbox()];
    const atA = await open(a, WITH_GROUP, heardByA);
    const atB = await open(b, WITH_GROUP, heardByB);
    b.readdress(C);
    await atB.send(bytes("to one"), A, 7946);
    await atB.send(bytes("to all"), GROUP, 7946);
    await atA.send(bytes("answer"), GROUP, 7946);
    await network.clock.advance(1);
    assertEquals(heardByA.texts.filter((text) => text !== "answer"), ["to one", "to all"]);
    assertEquals(new Set(heardByA.sources), new Set([`${C}:7946`, `${A}:7946`]));
    assertEquals(heardByB.texts.includes("answer"), true);
  });

  test("a socket bound to the old address sends no more, and receives no more", async () => {
    const network = new MemoryNetwork();
    const [a, b] = [network.host(A), network.host(B)];
    const inbox = new Inbox();
    const bound = await open(b, { host: B }, inbox);
    const other = await open(a);
    b.readdress(C);
    for (const to of [A, B, C, "127.0.0.1", GROUP]) {
      await assertRejectsWithCode(() => bound.send(bytes("lost"), to, 7946), "ENETUNREACH");
    }
    await other.send(bytes("lost"), B, 7946);
    await other.send(bytes("lost"), C, 7946);
    await network.clock.advance(1);
    assertEquals(inbox.texts, []);
    // The port is free at the new address.
    const again = new Inbox();
    await open(b, { host: C }, again);
    await other.send(bytes("hello"), C, 7946);
    await network.clock.advance(1);
    assertEquals(again.texts, ["hello"]);
    // And the old socket works again when the address comes back.
    b.readdress(B);
    await other.send(bytes("back"), B, 7946);
    await bound.send(bytes("back"), A, 7946);
    await network.clock.advance(1);
    assertEquals(inbox.texts, ["back"]);
  });

  test("a socket that sends multicast from the old address sends only unicast", async () => {
    const network = new MemoryNetwork();
    const [a, b] = [network.host(A), network.host(B)];
    const inbox = new Inbox();
    await open(a, WITH_GROUP, inbox);
    const sender = await open(b, { multicastInterface: B });
    b.readdress(C);
    await assertRejectsWithCode(() => sender.send(bytes("lost"), GROUP, 7946), "ENETUNREACH");
    await sender.send(bytes("hello"), A, 7946);
    await network.clock.advance(1);
    assertEquals([inbox.texts, inbox.sources], [["hello"], [`${C}:7946`]]);
  });

  test("groups are joined and left by the new address", async () => {
    const network = new MemoryNetwork();
    const [a, b] = [network.host(A), network.host(B)];
    const inbox = new Inbox();
    const socket = await open(b, {}, inbox);
    const sender = await open(a);
    b.readdress(C);
    const error = await assertRejects(() => socket.join(GROUP, B), Error, C);
    assertEquals((error as Error & { code?: string }).code, "EMULTICAST");
    await socket.join(GROUP, C);
    await sender.send(bytes("joined"), GROUP, 7946);
    await network.clock.advance(1);
    await socket.leave(GROUP, B);
    await sender.send(bytes("joined still"), GROUP, 7946);
    await network.clock.advance(1);
    await socket.leave(GROUP, C);
    await sender.send(bytes("left"), GROUP, 7946);
    await network.clock.advance(1);
    assertEquals(inbox.texts, ["joined", "joined still"]);
  });

  test("all processes of the host have the new address, later ones at the old address are on another host", async () => {
    const network = new MemoryNetwork();
    const [one, two] = [network.host(B), network.host(B)];
    one.readdress(C);
    const inbox = new Inbox();
    await open(two, { host: C }, inbox);
    await assertBindFails(one, { host: B }, "EADDRNOTAVAIL", C);
    const joining = await open(network.host(B));
    await joining.send(bytes("hello"), C, 7946);
    await network.clock.advance(1);
    assertEquals([two.address, inbox.sources], [C, [`${B}:7946`]]);
  });

  test("cuts and faults are those of the addresses", async () => {
    const { network, host, from, inbox } = await pair();
    network.cut(A, B);
    host.readdress(C);
    await from.send(bytes("hello"), C, 7946);
    await network.clock.advance(1);
    network.cut(A, C);
    await from.send(bytes("lost"), C, 7946);
    await network.clock.advance(1);
    assertEquals(inbox.texts, ["hello"]);
  });

  test("an address that is another host's is refused while that has sockets", async () => {
    const { network, host } = await pair();
    assertThrows(() => host.readdress(A), TypeError, `must be free: current value is ${A}`);
    assertEquals(host.address, B);
    network.host(C);
    host.readdress(C);
    host.readdress(C);
    assertEquals(host.address, C);
  });

  test("an address that no host can have is refused", () => {
    const host = new MemoryNetwork().host(B);
    for (const to of ["", "a", "127.0.0.1", "239.0.0.1", "0.0.0.0", A6]) {
      assertThrows(() => host.readdress(to), TypeError, `must be a unicast IPv4 literal: current value is ${to}`);
    }
    assertThrows(() => new MemoryNetwork().host(A6).readdress(A), TypeError, "must be a unicast IPv6 literal");
  });

  test("a socket of IPv6 bound to the old address still sends from it, as on Linux", async () => {
    const network = new MemoryNetwork();
    const [a, b] = [network.host(A6), network.host(B6)];
    const [heardByA, heardByB] = [new Inbox(), new Inbox()];
    const atA = await open(a, { host: "::" }, heardByA);
    const bound = await open(b, { host: B6 }, heardByB);
    const unbound = await open(b, { host: "::", port: 7947 });
    b.readdress(C6);
    await bound.send(bytes("bound"), A6, 7946);
    await unbound.send(bytes("unbound"), A6, 7946);
    await atA.send(bytes("answer"), B6, 7946);
    await network.clock.advance(1);
    assertEquals(heardByA.sources, [`${B6}:7946`, `${C6}:7947`]);
    assertEquals(heardByB.texts, []);
  });
});

function addressesOf(host: MemoryHost): string[] {
  return host.networkInterfaces().map(({ address }) => address);
}
