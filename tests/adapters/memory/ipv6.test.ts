// MemoryNetwork: hosts with IPv6. The adapter contract tests their sockets.
import { assertEquals, assertThrows } from "@std/assert";
import { describe, test } from "node:test";
import { MemoryNetwork } from "../../../adapters/memory.ts";
import { bytes, Inbox } from "../../support/inbox.ts";
import { assertBindFails, assertRejectsWithCode, open } from "../../support/memory_sockets.ts";

const A = "fd00::1";
const B = "fd00::2";
const GROUP = "ff12::5752:1";

describe("MemoryNetwork with IPv6", () => {
  test("a host has its address on eth0, and both loopback addresses", () => {
    const host = new MemoryNetwork().host("FD00:0:0::1");
    assertEquals(host.address, A);
    assertEquals(host.networkInterfaces().map(({ name, address, internal }) => [name, address, internal]), [
      ["lo", "127.0.0.1", true],
      ["lo", "::1", true],
      ["eth0", A, false],
    ]);
  });

  test("an address that no host can have is refused", () => {
    for (const address of ["::", "::1", "ff02::1", "fe80::1", "fe80::1%eth0", "::ffff:10.0.0.1", "fd00::g", ""]) {
      assertThrows(() => new MemoryNetwork().host(address), TypeError, `current value is ${address}`);
    }
  });

  test("hosts reach each other by address and by group", async () => {
    const network = new MemoryNetwork();
    const inbox = new Inbox();
    const to = await open(network.host(B), { host: "::", shared: true, joinGroup: GROUP }, inbox);
    const from = await open(network.host(A), { host: "::", multicastInterface: "eth0" });
    await from.send(bytes("one"), "FD00::0:2", to.port);
    await from.send(bytes("all"), "FF12::5752:1", to.port);
    await network.clock.advance(1);
    assertEquals(inbox.texts, ["one", "all"]);
    assertEquals(new Set(inbox.sources), new Set([`${A}:7946`]));
  });

  test("a datagram through lo stays on the host", async () => {
    const network = new MemoryNetwork();
    const [near, far] = [new Inbox(), new Inbox()];
    await open(network.host(A), { host: "::", joinGroup: GROUP, multicastInterface: "lo" }, near);
    await open(network.host(B), { host: "::", joinGroup: GROUP }, far);
    const from = await open(network.host(A), { host: "::1", port: 7947 });
    await from.send(bytes("all"), GROUP, 7946);
    await from.send(bytes("one"), B, 7946);
    await from.send(bytes("here"), "::", 7946);
    await network.clock.advance(1);
    assertEquals([near.texts, near.sources], [["all", "here"], ["::1:7947", "::1:7947"]]);
    assertEquals(far.texts, []);
  });

  test("IPv4 on the same host is separate", async () => {
    const network = new MemoryNetwork();
    const host = network.host(A);
    const [six, four] = [new Inbox(), new Inbox()];
    await open(host, { host: "::" }, six);
    await open(host, { host: "0.0.0.0" }, four);
    const fromSix = await open(host, { host: "::1", port: 0 });
    const fromFour = await open(host, { host: "127.0.0.1", port: 0 });
    await fromSix.send(bytes("six"), A, 7946);
    await fromFour.send(bytes("four"), "127.0.0.2", 7946);
    await network.clock.advance(1);
    assertEquals([six.texts, four.texts], [["six"], ["four"]]);
  });

  test("a host without IPv6 binds no IPv6 address", async () => {
    const host = new MemoryNetwork().host("10.0.0.1");
    for (const address of ["::", "::1", A]) await assertBindFails(host, { host: address }, "EADDRNOTAVAIL", "10.0.0.1");
  });

  test("without multicast no group can be joined or sent to", async () => {
    const network = new MemoryNetwork();
    network.multicast = false;
    const host = network.host(A);
    await assertBindFails(host, { host: "::", joinGroup: GROUP }, "EMULTICAST", "no multicast");
    const socket = await open(host, { host: "::" });
    await assertRejectsWithCode(() => socket.send(bytes("lost"), GROUP, 7946), "ENETUNREACH");
  });

  test("has the size of a socket's receive buffer", async () => {
    const host = new MemoryNetwork({ receiveBuffer: 10_000 }).host(A);
    assertEquals((await open(host, { host: "::", port: 0 })).receiveBuffer, 5000);
    assertEquals((await open(host, { host: "::", port: 0, receiveBuffer: 70_000 })).receiveBuffer, 70_000);
  });
});
