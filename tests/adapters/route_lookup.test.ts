// The route look-up: which interface and address the routes choose for a group.
import { assertEquals } from "@std/assert";
import { describe, test } from "node:test";
import { MemoryNetwork } from "../../adapters/memory.ts";
import { deviceFor } from "../../adapters/route_lookup.ts";
import type { MeshEvent } from "../../src/events.ts";
import { MeshBus } from "../../src/mesh_bus.ts";
import { linksOf, LocalAddresses } from "../../src/net/interfaces.ts";
import { checkOptions } from "../../src/options.ts";

const HEAD = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n";
const row = (device: string, to: string, mask: string, metric = 0, flags = "0001") =>
  `${device}\t${to}\t00000000\t${flags}\t0\t0\t${metric}\t${mask}\t0\t0\t0\n`;

describe("the interface for a group in a routing table", () => {
  const cases: Readonly<Record<string, readonly [table: string, device: string | undefined]>> = {
    "no route": ["", undefined],
    "networks alone": [row("eth0", "0000080A", "00FFFFFF"), undefined],
    "the default route": [row("eth0", "0000080A", "00FFFFFF") + row("eth1", "00000000", "00000000"), "eth1"],
    "of two default routes the one of the least metric": [
      row("eth0", "00000000", "00000000", 100) + row("eth1", "00000000", "00000000", 50),
      "eth1",
    ],
    "a longer mask, whatever the metric": [
      row("eth0", "00000000", "00000000") + row("eth1", "000000EF", "000000FF", 100),
      "eth1",
    ],
    "a route that is down": [row("eth0", "00000000", "00000000", 0, "0000"), undefined],
    "a route that refuses": [row("*", "00000000", "00000000", 0, "0201"), undefined],
  };
  for (const [title, [table, device]] of Object.entries(cases)) {
    test(title, () => assertEquals(deviceFor("239.0.0.1", HEAD + table), device));
  }
});

describe("the interface without an option", () => {
  const list = [
    { name: "lo", address: "127.0.0.1", internal: true, netmask: "255.0.0.0" },
    { name: "docker0", address: "172.17.0.1", internal: false, netmask: "255.255.0.0" },
    { name: "eth0", address: "10.9.0.1", internal: false, netmask: "255.255.255.0" },
    { name: "eth0", address: "10.9.0.2", internal: false, netmask: "255.255.255.0" },
  ];
  const chosen = (route?: { readonly source: string | undefined }, all = list) =>
    linksOf(checkOptions({}), all, route).map(({ name, address, ref }) => [name, address, ref]);

  test("is that of the route, with the source address of the route", () => {
    assertEquals(chosen({ source: "10.9.0.2" }), [["eth0", "10.9.0.2", undefined]]);
  });
  test("is the first that is no loopback when the route is not known, or its address is not listed", () => {
    assertEquals(chosen(), [["docker0", "172.17.0.1", undefined]]);
    assertEquals(chosen({ source: "10.9.0.3" }), [["docker0", "172.17.0.1", undefined]]);
  });
  test("is set on the socket where there is no route, unless it is the loopback one", () => {
    assertEquals(chosen({ source: undefined }), [["docker0", "172.17.0.1", "172.17.0.1"]]);
    assertEquals(chosen({ source: undefined }, list.slice(0, 1)), [["lo", "127.0.0.1", undefined]]);
  });
});

describe("addresses of this host", () => {
  const local = new LocalAddresses([
    { name: "eth0", address: "fe80::1", internal: false, netmask: "ffff:ffff:ffff:ffff::" },
    { name: "eth0", address: "10.0.0.0", internal: false, netmask: "255.255.255.254" },
  ]);
  test("are all loopback addresses, and link-local ones with their interface", () => {
    const own = ["127.0.0.1", "127.8.9.10", "::1", "fe80::1", "fe80::1%eth0", "10.0.0.0"];
    assertEquals(own.filter((host) => !local.isOwn(host)), []);
    assertEquals(["fe80::1%eth1", "10.0.0.1", "128.0.0.1"].filter((host) => local.isOwn(host)), []);
  });
  test("may be advertised at a loopback address by this host alone", () => {
    assertEquals(local.mayBeAt("::1", { host: "fe80::1%eth0", port: 1 }), true);
    assertEquals(local.mayBeAt("127.0.0.1", { host: "10.0.0.1", port: 1 }), false);
  });
  test("of a network of two may both be a host's", () => {
    assertEquals(local.mayBeAt("10.0.0.1", { host: "10.0.0.1", port: 1 }), true);
  });
});

test("a route that moves is followed within a second, and one that cannot be looked up changes nothing", async () => {
  const network = new MemoryNetwork();
  const host = network.host("10.9.0.1");
  const other = { name: "eth1", address: "10.8.0.1", internal: false, netmask: "255.255.255.0" };
  let source: string | undefined | Error = "10.9.0.1";
  const mesh = await MeshBus.open({
    ...host,
    networkInterfaces: () => [...host.networkInterfaces(), other],
    routeTo: async () => {
      if (source instanceof Error) throw source;
      return source;
    },
  });
  const events: MeshEvent[] = [];
  mesh.events.listen((event) => void events.push(event));
  await network.clock.advance(2000);
  source = new Error("It may not be told");
  await network.clock.advance(2000);
  assertEquals(events.map(({ type }) => type), ["opened"]);
  source = "10.8.0.1";
  await network.clock.advance(1000);
  assertEquals(events.map(({ type }) => type).slice(1), ["interfaceGone", "interfaceJoined", "addressChanged"]);
  assertEquals(mesh.address.split(":")[0], "10.8.0.1");
  const closing = mesh.close();
  await network.clock.advance(1000);
  await closing;
});
