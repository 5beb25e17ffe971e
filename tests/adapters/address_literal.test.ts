// Address literals: which ones a socket of each family can use.
import { assertEquals } from "@std/assert";
import * as fc from "fast-check";
import { describe, test } from "node:test";
import { familyOf } from "../../adapters/address_literal.ts";
import { canonical, isGroup, isIpv4, isIpv6, isLinkLocal } from "../../src/platform/endpoint.ts";
import { anyString } from "../support/arbitraries.ts";

const likeIpv6 = fc.oneof(
  fc.ipV6(),
  fc.stringMatching(/^[0-9a-f:.]{0,30}$/),
  fc.array(fc.constantFrom("::", ":", "0", "fFfF", "1.2.3.4", "g"), { maxLength: 12 }).map((parts) => parts.join("")),
);

describe("literals of sockets", () => {
  test("include all of their family but IPv4 addresses in IPv6 form", () => {
    fc.assert(
      fc.property(fc.oneof(likeIpv6, fc.ipV4(), anyString), (text) => {
        const isMapped = isIpv6(text) && /^::ffff:[^:]+:[^:]+$/.test(canonical(text));
        assertEquals(familyOf(text), isIpv4(text) ? 4 : isIpv6(text) && !isMapped ? 6 : undefined);
      }),
      { numRuns: 2000 },
    );
    for (const text of ["::ffff:1.2.3.4", "0:0:0:0:0:FFFF:102:304"]) assertEquals(familyOf(text), undefined, text);
    for (const text of ["::ffff:5", "::ffff:1:2:3", "::1.2.3.4"]) assertEquals(familyOf(text), 6, text);
  });

  test("keep their zones in their canonical text", () => {
    fc.assert(fc.property(fc.ipV4(), (text) => assertEquals(canonical(text), text)));
    assertEquals(canonical("FE80:0::1%Eth0"), "fe80::1%Eth0");
  });

  test("have a zone only when they are link-local", () => {
    for (const text of ["fe80::1%eth0", "FE80::1%3", "febf::1%br-lan.7", "fe80::1%Ethernet_2"]) {
      assertEquals([familyOf(text), isLinkLocal(text)], [6, true], text);
    }
    for (
      const text of ["fec0::1%eth0", "fd00::1%eth0", "::1%lo", "ff12::1%eth0", "fe80::1%", "fe80::1%a b", "fe80::1%a%b"]
    ) {
      assertEquals(familyOf(text), undefined, text);
    }
    assertEquals([isLinkLocal("fe8::1"), isLinkLocal("fd00::1"), isLinkLocal("169.254.0.1")], [false, false, false]);
  });

  test("are groups in ff00::/8 and from 224.0.0.0 to 239.255.255.255", () => {
    for (const text of ["ff12::1", "FF02::1", "ff00::", "ffff::1", "224.0.0.0", "239.255.255.255"]) {
      assertEquals(isGroup(text), true, text);
    }
    for (const text of ["ff::1", "ff1::1", "fe80::1", "::ff12", "fd00::1", "223.255.255.255", "240.0.0.0"]) {
      assertEquals(isGroup(text), false, text);
    }
  });
});
