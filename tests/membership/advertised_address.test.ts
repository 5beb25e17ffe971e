// Advertised addresses: what a node derives from the text of a heartbeat and from the datagram's source.
import { describe, test } from "node:test";
import { assert, assertEquals, assertMatch } from "@std/assert";
import * as fc from "fast-check";
import { type AddressRules, locate, usableHost } from "../../src/membership/advertised_address.ts";
import { familyOf } from "../../src/net/address_family.ts";
import { type Endpoint, isIpv4, isSameEndpoint, isUnicast } from "../../src/platform/endpoint.ts";
import { anyString } from "../support/arbitraries.ts";

const SOURCE: Endpoint = { host: "192.168.1.9", port: 5000 };
const SOURCE6: Endpoint = { host: "fd00::9", port: 5000 };
const RULES: AddressRules = { family: 4, mayBeAt: () => true };
const RULES6: AddressRules = { family: 6, mayBeAt: () => true };

/** The text; the address that is shown, the endpoint to send to, and whether the source decides the host. */
type Case = readonly [advertised: string, address: string, host: string, port: number, bySource: boolean];

describe("in an IPv4 mesh, with the source 192.168.1.9:5000,", () => {
  const cases: readonly Case[] = [
    ["10.0.0.1:7946", "10.0.0.1:7946", "10.0.0.1", 7946, false],
    ["127.0.0.1:1", "127.0.0.1:1", "127.0.0.1", 1, false],
    ["192.168.1.9:5000", "192.168.1.9:5000", "192.168.1.9", 5000, false],
    // Unspecified and empty hosts: the source's host, with the advertised port.
    ["0.0.0.0:7946", "192.168.1.9:7946", "192.168.1.9", 7946, true],
    [":7946", "192.168.1.9:7946", "192.168.1.9", 7946, true],
    ["[::]:7946", "192.168.1.9:7946", "192.168.1.9", 7946, true],
    // Addresses that no host can have: multicast, broadcast, reserved.
    ["239.0.0.1:7946", "192.168.1.9:7946", "192.168.1.9", 7946, true],
    ["224.0.0.1:53", "192.168.1.9:53", "192.168.1.9", 53, true],
    ["255.255.255.255:7946", "192.168.1.9:7946", "192.168.1.9", 7946, true],
    ["240.0.0.1:7946", "192.168.1.9:7946", "192.168.1.9", 7946, true],
    ["0.1.2.3:7946", "192.168.1.9:7946", "192.168.1.9", 7946, true],
    // Names and literals of the other family are shown, but neither looked up nor sent to.
    ["cache-1.svc:7946", "cache-1.svc:7946", "192.168.1.9", 7946, true],
    ["[fe80::1]:7946", "[fe80::1]:7946", "192.168.1.9", 7946, true],
    // Unusable texts: the source's host and port.
    ["", "192.168.1.9:5000", "192.168.1.9", 5000, true],
    ["10.0.0.1", "192.168.1.9:5000", "192.168.1.9", 5000, true],
    ["10.0.0.1:0", "192.168.1.9:5000", "192.168.1.9", 5000, true],
    ["10.0.0.1:65536", "192.168.1.9:5000", "192.168.1.9", 5000, true],
    ["\u001bc:7946", "192.168.1.9:5000", "192.168.1.9", 5000, true],
    ["a b:7946", "192.168.1.9:5000", "192.168.1.9", 5000, true],
  ];
  for (const [advertised, address, host, port, bySource] of cases) {
    test(`${JSON.stringify(advertised)} is ${host}:${port}, shown as ${address}`, () => {
      assertEquals(locate(advertised, SOURCE, RULES), { address, endpoint: { host, port }, bySource });
    });
  }

  test("any text gives the literal of one host, its own or the source's", () => {
    const host = fc.oneof(fc.ipV4(), fc.ipV4Extended(), fc.ipV6(), fc.domain(), anyString);
    const advertised = fc.oneof(
      anyString,
      fc.tuple(host, fc.oneof(fc.nat(70_000), anyString)).map(([host, port]) => `${host}:${port}`),
    );
    fc.assert(
      fc.property(advertised, (text) => {
        const { address, endpoint: { host, port }, bySource } = locate(text, SOURCE, RULES);
        assert(isIpv4(host) && isUnicast(host));
        assert(port >= 1 && port <= 65_535);
        assert(bySource ? host === SOURCE.host : text.startsWith(`${host}:`));
        assertMatch(address, /^[\w.:%[\]-]{3,260}$/);
      }),
      { numRuns: 1000 },
    );
  });
});

describe("in an IPv6 mesh, with the source [fd00::9]:5000,", () => {
  const cases: readonly Case[] = [
    ["[fd00::1]:7946", "[fd00::1]:7946", "fd00::1", 7946, false],
    // An address has one canonical text.
    ["[FD00:0:0::0001]:7946", "[fd00::1]:7946", "fd00::1", 7946, false],
    ["[::]:7946", "[fd00::9]:7946", "fd00::9", 7946, true],
    [":7946", "[fd00::9]:7946", "fd00::9", 7946, true],
    // A multicast address, an IPv4-mapped one, and a link-local one, which is valid on its own link only.
    ["[ff12::1]:7946", "[fd00::9]:7946", "fd00::9", 7946, true],
    ["[::ffff:10.0.0.1]:7946", "[fd00::9]:7946", "fd00::9", 7946, true],
    ["[fe80::1]:7946", "[fd00::9]:7946", "fd00::9", 7946, true],
    ["10.0.0.1:7946", "10.0.0.1:7946", "fd00::9", 7946, true],
    ["cache-1.svc:7946", "cache-1.svc:7946", "fd00::9", 7946, true],
    ["fd00::1:7946", "[fd00::9]:5000", "fd00::9", 5000, true],
  ];
  for (const [advertised, address, host, port, bySource] of cases) {
    test(`${JSON.stringify(advertised)} is ${host}, port ${port}, shown as ${address}`, () => {
      assertEquals(locate(advertised, SOURCE6, RULES6), { address, endpoint: { host, port }, bySource });
    });
  }
});

test("an endpoint where a node can not be is replaced by the source", () => {
  const checked: [Endpoint, Endpoint][] = [];
  const forbidden = { host: "10.0.0.255", port: 7946 };
  const mayBeAt = (endpoint: Endpoint, source: Endpoint) => {
    checked.push([endpoint, source]);
    return !isSameEndpoint(endpoint, forbidden);
  };
  const at = (text: string) => locate(text, SOURCE, { family: 4, mayBeAt });
  assertEquals(at("10.0.0.255:7946"), { address: "192.168.1.9:5000", endpoint: SOURCE, bySource: true });
  assertEquals(at("10.0.0.255:7947").endpoint, { host: "10.0.0.255", port: 7947 });
  // The check is made of the endpoint to which datagrams would go.
  at("name:1");
  assertEquals(checked, [
    [forbidden, SOURCE],
    [{ host: "10.0.0.255", port: 7947 }, SOURCE],
    [{ host: "192.168.1.9", port: 1 }, SOURCE],
  ]);
});

test("a usable host is a literal of the family, in canonical form, without a zone", () => {
  const usable = (host: string) => [usableHost(host, 4), usableHost(host, 6)];
  assertEquals(usable("10.0.0.1"), ["10.0.0.1", undefined]);
  assertEquals(usable("FD00::01"), [undefined, "fd00::1"]);
  for (
    const host of ["0.0.0.0", "239.0.0.1", "ff02::1", "::", "fe80::1", "fe80::1%eth0", "name", "", "::ffff:10.0.0.1"]
  ) {
    assertEquals(usable(host), [undefined, undefined], host);
  }
  fc.assert(
    fc.property(fc.oneof(fc.ipV6(), fc.ipV4(), anyString), fc.constantFrom(4 as const, 6 as const), (text, family) => {
      const host = usableHost(text, family);
      if (host === undefined) return;
      // The result is accepted unchanged: the `host` of a peer exchange has to be the same text again.
      assertEquals([usableHost(host, family), familyOf(host)], [host, family]);
    }),
  );
});
