// Who is there, where they are reached, and when they are forgotten.
import { describe, test } from "node:test";
import { assert, assertEquals, assertLessOrEqual, assertMatch, assertStrictEquals } from "@std/assert";
import * as fc from "fast-check";
import { VirtualClock } from "../adapters/memory_clock.ts";
import { type Endpoint, isIpv4, isUnicast } from "../src/address.ts";
import { type Peer, PeerTable, type PeerTableConfig } from "../src/peer_table.ts";
import { anyString } from "./support/arbitraries.ts";

const SOURCE: Endpoint = { host: "192.168.1.9", port: 5000 };

function setUp(config: Partial<PeerTableConfig> = {}) {
  const clock = new VirtualClock();
  const expired: Peer[] = [];
  const table = new PeerTable({
    capacity: 1024,
    timeout: 60_000,
    clock,
    mayBeAt: () => true,
    onExpired: (peer) => expired.push(peer),
    ...config,
  });
  return { table, clock, expired };
}

describe("a peer is shown and reached", () => {
  // What it advertises, what is shown of it, and where it is reached. It was heard from SOURCE.
  const cases: readonly [string, string, string, number][] = [
    ["10.0.0.1:7946", "10.0.0.1:7946", "10.0.0.1", 7946],
    ["127.0.0.1:1", "127.0.0.1:1", "127.0.0.1", 1],
    // Unspecified and empty hosts: the source's, with the advertised port.
    ["0.0.0.0:7946", "192.168.1.9:7946", "192.168.1.9", 7946],
    [":7946", "192.168.1.9:7946", "192.168.1.9", 7946],
    ["[::]:7946", "192.168.1.9:7946", "192.168.1.9", 7946],
    // No host at all: multicast, broadcast, reserved.
    ["239.0.0.1:7946", "192.168.1.9:7946", "192.168.1.9", 7946],
    ["224.0.0.1:53", "192.168.1.9:53", "192.168.1.9", 53],
    ["255.255.255.255:7946", "192.168.1.9:7946", "192.168.1.9", 7946],
    ["240.0.0.1:7946", "192.168.1.9:7946", "192.168.1.9", 7946],
    ["0.1.2.3:7946", "192.168.1.9:7946", "192.168.1.9", 7946],
    // Names and IPv6 literals are shown, but neither looked up nor sent to.
    ["cache-1.svc:7946", "cache-1.svc:7946", "192.168.1.9", 7946],
    ["[fe80::1]:7946", "[fe80::1]:7946", "192.168.1.9", 7946],
    // Nothing usable: the source, port and all.
    ["", "192.168.1.9:5000", "192.168.1.9", 5000],
    ["10.0.0.1", "192.168.1.9:5000", "192.168.1.9", 5000],
    ["10.0.0.1:0", "192.168.1.9:5000", "192.168.1.9", 5000],
    ["10.0.0.1:65536", "192.168.1.9:5000", "192.168.1.9", 5000],
    ["\u001bc:7946", "192.168.1.9:5000", "192.168.1.9", 5000],
    ["a b:7946", "192.168.1.9:5000", "192.168.1.9", 5000],
  ];
  for (const [advertised, address, host, port] of cases) {
    test(`as ${address} at ${host}:${port} when it advertises ${JSON.stringify(advertised)}`, () => {
      const { table } = setUp();
      assertEquals(table.hear("n", advertised, SOURCE), "joined");
      assertEquals([table.addresses(), table.endpoints()], [[address], [{ host, port }]]);
      assertEquals([table.get("n")?.address, table.get("n")?.endpoint], [address, { host, port }]);
    });
  }

  test("at one host's literal, its own or the source's, whatever it advertises", () => {
    const host = fc.oneof(fc.ipV4(), fc.ipV4Extended(), fc.ipV6(), fc.domain(), anyString);
    const advertised = fc.oneof(
      anyString,
      fc.tuple(host, fc.oneof(fc.nat(70_000), anyString)).map(([host, port]) => `${host}:${port}`),
    );
    fc.assert(
      fc.property(advertised, (text) => {
        const { table } = setUp();
        table.hear("n", text, SOURCE);
        const [{ host, port } = { host: "", port: 0 }] = table.endpoints();
        assert(isIpv4(host) && isUnicast(host));
        assert(port >= 1 && port <= 65535);
        assert(host === SOURCE.host || text.startsWith(`${host}:`));
        assertMatch(table.addresses()[0] ?? "", /^[\w.:%[\]-]{3,260}$/);
      }),
      { numRuns: 1000 },
    );
  });
});

describe("hearing a peer", () => {
  test("again changes nothing, and elsewhere moves it", () => {
    const { table } = setUp();
    const hear = (advertised: string, source = SOURCE) => table.hear("n", advertised, source);
    assertEquals(
      [hear("10.0.0.1:1"), hear("10.0.0.1:1"), hear("10.0.0.1:1", { host: "9.9.9.9", port: 9 }), hear("10.0.0.2:1")],
      ["joined", "known", "known", "moved"],
    );
    assertEquals([table.size, table.addresses(), table.endpoints()], [1, ["10.0.0.2:1"], [{
      host: "10.0.0.2",
      port: 1,
    }]]);
    assertEquals([hear("10.0.0.2:2"), table.endpoints()], ["moved", [{ host: "10.0.0.2", port: 2 }]]);
    assertEquals([hear("name:3"), table.addresses(), table.endpoints()[0]?.host], ["moved", ["name:3"], SOURCE.host]);
  });

  for (const advertised of [":7946", "", "name:7946"]) {
    test(`with ${JSON.stringify(advertised)} from two hosts in turn moves it when the first was silent for a quarter`, async () => {
      const { table, clock } = setUp({ timeout: 60_000 });
      const other: Endpoint = { host: "172.17.0.1", port: 5000 };
      const hear = (source: Endpoint) => [table.hear("n", advertised, source), table.endpoints()[0]?.host];
      hear(SOURCE);
      for (let i = 0; i < 10; i++) {
        await clock.advance(5000);
        assertEquals([hear(other), hear(SOURCE)], [["known", SOURCE.host], ["known", SOURCE.host]]);
      }
      await clock.advance(14_999);
      assertEquals(hear(other), ["known", SOURCE.host]);
      await clock.advance(1);
      assertEquals([hear(other), hear(SOURCE)], [["moved", other.host], ["known", other.host]]);
    });
  }

  test("shares addresses and endpoints between those that advertise the same", () => {
    const { table } = setUp();
    table.hear("a", "10.0.0.1:1", SOURCE);
    table.hear("b", "10.0.0.1:1", SOURCE);
    table.hear("c", ":1", { host: "10.0.0.1", port: 9 });
    table.hear("d", "name:1", { host: "10.0.0.1", port: 9 });
    table.hear("e", "10.0.0.1:2", SOURCE);
    const endpoints = [{ host: "10.0.0.1", port: 1 }, { host: "10.0.0.1", port: 2 }];
    assertEquals([table.size, table.endpoints()], [5, endpoints]);
    assertEquals(table.addresses(), ["10.0.0.1:1", "name:1", "10.0.0.1:2"]);
    for (const id of ["a", "b", "c"]) table.hear(id, "10.0.0.3:3", SOURCE);
    assertEquals(new Set(table.endpoints().map(({ host, port }) => `${host}:${port}`)).size, 3);
  });

  test("makes the list of endpoints anew only when it differs, as each datagram asks for it", () => {
    const { table } = setUp();
    table.hear("a", "10.0.0.1:1", SOURCE);
    const before = table.endpoints();
    table.hear("a", "10.0.0.1:1", SOURCE);
    assertStrictEquals(table.endpoints(), before);
    table.hear("b", "10.0.0.2:1", SOURCE);
    assertEquals(table.endpoints(), [{ host: "10.0.0.1", port: 1 }, { host: "10.0.0.2", port: 1 }]);
  });
});

describe("capacity", () => {
  test("refuses newcomers, not those who are known, and has room again when one expires", async () => {
    const { table, clock, expired } = setUp({ capacity: 2, timeout: 100 });
    const hear = (id: string) => table.hear(id, "", SOURCE);
    assertEquals([hear("a"), hear("b"), hear("c"), hear("a")], ["joined", "joined", "refused", "known"]);
    assertEquals([table.size, table.get("c")], [2, undefined]);
    await clock.advance(50);
    hear("a");
    await clock.advance(50);
    assertEquals([expired.map(({ id }) => id), hear("c"), hear("b")], [["b"], "joined", "refused"]);
  });

  test("bounds what 100,000 forged ids can do", () => {
    const { table, clock } = setUp();
    table.hear("real", "172.16.0.1:7946", SOURCE);
    let refused = 0;
    for (let i = 0; i < 100_000; i++) {
      const host = `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`;
      if (table.hear(`forged ${i}`, `${host}:7946`, SOURCE) === "refused") refused++;
    }
    assertEquals([table.size, table.endpoints().length, refused, clock.pending], [1024, 1024, 100_000 - 1023, 1]);
    assertEquals([table.hear("real", "172.16.0.1:7946", SOURCE), table.get("real")?.address], [
      "known",
      "172.16.0.1:7946",
    ]);
  });
});

describe("expiry", () => {
  test("comes exactly at the timeout, to the longest silent first", async () => {
    const { table, clock, expired } = setUp({ timeout: 100 });
    table.hear("a", "10.0.0.1:1", SOURCE);
    await clock.advance(10);
    table.hear("b", "", SOURCE);
    table.hear("c", "10.0.0.3:1", SOURCE);
    await clock.advance(89.999);
    assertEquals([expired, table.size], [[], 3]);
    await clock.advance(0.001);
    assertEquals([expired, table.endpoints().length], [[{ id: "a", address: "10.0.0.1:1" }], 2]);
    table.hear("b", "", SOURCE);
    await clock.advance(10);
    assertEquals([expired.map(({ id }) => id), table.addresses()], [["a", "c"], ["192.168.1.9:5000"]]);
    await clock.advance(90);
    assertEquals([expired.map(({ id }) => id), table.endpoints(), clock.pending], [["a", "c", "b"], [], 0]);
    assertEquals(table.hear("a", "", SOURCE), "joined");
  });

  test("ends, at times that binary fractions cannot hold", async () => {
    const { table, clock, expired } = setUp({ timeout: 60_000 });
    await clock.advance(0.1);
    table.hear("a", "", SOURCE);
    await clock.advance(60_000);
    assertEquals([expired.length, clock.pending], [1, 0]);
  });

  test("leaves exactly those who were heard within the timeout", async () => {
    const time = fc.oneof(fc.nat(120), fc.double({ min: 0, max: 120, noNaN: true }));
    const steps = fc.array(fc.tuple(time, fc.constantFrom("a", "b", "c", "d")), { maxLength: 40, size: "max" });
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(fc.integer({ min: 20, max: 200 }), fc.constant(33.3)),
        steps,
        async (timeout, steps) => {
          const { table, clock, expired } = setUp({ timeout });
          const heard = new Map<string, number>();
          let gone = 0;
          for (const [pause, id] of steps) {
            await clock.advance(pause);
            for (const [id, at] of heard) if (at + timeout <= clock.now() && heard.delete(id)) gone++;
            for (const each of ["a", "b", "c", "d"]) assertEquals(table.get(each) !== undefined, heard.has(each), each);
            assertEquals([table.size, expired.length], [heard.size, gone]);
            assertEquals(table.hear(id, "10.0.0.1:1", SOURCE), heard.has(id) ? "known" : "joined");
            heard.set(id, clock.now());
            assertLessOrEqual(clock.pending, 1);
          }
        },
      ),
    );
  });

  test("is over when the table is cleared", async () => {
    const { table, clock, expired } = setUp();
    table.hear("a", "", SOURCE);
    assertEquals(table.endpoints().length, 1);
    table.clear();
    assertEquals([table.size, table.endpoints(), table.addresses(), clock.pending], [0, [], [], 0]);
    await clock.advance(100_000);
    assertEquals(expired, []);
    table.hear("a", "", SOURCE);
    await clock.advance(60_000);
    assertEquals(expired.length, 1);
  });
});
