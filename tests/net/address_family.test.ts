// The address family: which addresses a mesh of each family can use.
import { describe, test } from "node:test";
import { assertEquals } from "@std/assert";
import * as fc from "fast-check";
import { familyOf, groupLiteral, hostLiteral, isHostName } from "../../src/net/address_family.ts";
import { anyString } from "../support/arbitraries.ts";

describe("a host of IPv4", () => {
  test("is an address that one host can have", () => {
    for (const text of ["10.0.0.1", "127.0.0.1", "1.0.0.0", "223.255.255.255"]) {
      assertEquals(hostLiteral(text, 4), text);
    }
    const bad = [
      "0.0.0.0",
      "0.1.2.3",
      "224.0.0.1",
      "239.0.0.1",
      "240.0.0.1",
      "255.255.255.255",
      "::1",
      "a",
      "",
      "10.0.0.01",
    ];
    for (const text of bad) assertEquals(hostLiteral(text, 4), undefined, text);
  });
});

describe("a host of IPv6", () => {
  test("is written in the canonical form of RFC 5952", () => {
    const good: Readonly<Record<string, string>> = {
      "::1": "::1",
      "FD00:0:0:0:0:0:0:1": "fd00::1",
      "2001:db8:0:0:1:0:0:1": "2001:db8::1:0:0:1",
      "2001:db8:0:1:1:1:1:1": "2001:db8:0:1:1:1:1:1",
      "fe80::1%eth0": "fe80::1%eth0",
      "FEBF::1%2": "febf::1%2",
      "64:ff9b::10.0.0.1": "64:ff9b::a00:1",
      "ff::1": "ff::1",
      "fe8::1": "fe8::1",
      "::ffff:5": "::ffff:5",
      "::ffff:1:2:3": "::ffff:1:2:3",
    };
    for (const [text, literal] of Object.entries(good)) assertEquals(hostLiteral(text, 6), literal, text);
  });

  test("is neither unspecified, nor a group, nor IPv4-mapped, and has a zone when it is link-local and only then", () => {
    const bad = [
      "::",
      "0:0:0:0:0:0:0:0",
      "ff02::1",
      "FF12::5752:1",
      "::ffff:10.0.0.1",
      "::ffff:a00:1",
      "0:0:0:0:0:FFFF:1:2",
    ];
    const zones = [
      "fe80::1",
      "febf::1",
      "fe80::1%",
      "fe80::1%a b",
      "fe80::1%a%b",
      "fd00::1%eth0",
      "::1%lo",
      "fe8::1%eth0",
    ];
    const none = ["", "a", "10.0.0.1", "[::1]", ":::", "1::2::3", "fd00::12345", "1:2:3:4:5:6:7", "%eth0", "::1\n"];
    for (const text of [...bad, ...zones, ...none]) assertEquals(hostLiteral(text, 6), undefined, text);
  });
});

describe("a group", () => {
  test("is a multicast address of the family", () => {
    assertEquals(["224.0.0.0", "239.255.255.255"].map((text) => groupLiteral(text, 4)), [
      "224.0.0.0",
      "239.255.255.255",
    ]);
    assertEquals(["ff02::1", "FF12:0::5752:1"].map((text) => groupLiteral(text, 6)), ["ff02::1", "ff12::5752:1"]);
    for (const text of ["10.0.0.1", "ff02::1", ""]) assertEquals(groupLiteral(text, 4), undefined, text);
    for (const text of ["fd00::1", "ff::1", "ff:1::", "239.0.0.1", "ff02::1%eth0"]) {
      assertEquals(groupLiteral(text, 6), undefined, text);
    }
  });
});

describe("any text", () => {
  test("is of one family, a name, or nothing; a host is of its family and stays as it is", () => {
    const part = fc.constantFrom(
      "",
      ":",
      "::",
      "0",
      "1",
      "ff02",
      "fe80",
      "10.0.0.1",
      "%",
      "eth0",
      "a",
      "255",
      ".",
      "ffff",
    );
    fc.assert(
      fc.property(fc.oneof(fc.array(part).map((parts) => parts.join("")), anyString, fc.ipV4(), fc.ipV6()), (text) => {
        for (const family of [4, 6] as const) {
          const literal = hostLiteral(text, family);
          if (literal === undefined) continue;
          assertEquals([familyOf(text), familyOf(literal), hostLiteral(literal, family)], [family, family, literal]);
          assertEquals(isHostName(text), false);
        }
      }),
      { numRuns: 2000 },
    );
  });

  test("that is an IPv6 address is known as one", () => {
    fc.assert(fc.property(fc.ipV6(), (text) => assertEquals(familyOf(text), 6)), { numRuns: 1000 });
  });
});
