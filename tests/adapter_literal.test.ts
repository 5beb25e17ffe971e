// What the adapters take for addresses. The core has its own words for it: the two must agree.
import { assertEquals } from "@std/assert";
import * as fc from "fast-check";
import { describe, test } from "node:test";
import { canonical, familyOf, isGroup, isIpv6, isLinkLocal, isOf } from "../adapters/literal.ts";
import { canonicalIpv6, isIpv4, isIpv6 as isIpv6ToCore } from "../src/address.ts";
import { anyString } from "./support/arbitraries.ts";

const likeIpv6 = fc.oneof(
  fc.ipV6(),
  fc.stringMatching(/^[0-9a-f:.]{0,30}$/),
  fc.array(fc.constantFrom("::", ":", "0", "fFfF", "1.2.3.4", "g"), { maxLength: 12 }).map((parts) => parts.join("")),
);

describe("literals of the adapters", () => {
  test("are those of the core, but for addresses of IPv4 in those of IPv6", () => {
    fc.assert(
      fc.property(fc.oneof(likeIpv6, fc.ipV4(), anyString), (text) => {
        const isMapped = isIpv6ToCore(text) && /^::ffff:[^:]+:[^:]+$/.test(canonicalIpv6(text));
        assertEquals(isIpv6(text), isIpv6ToCore(text) && !isMapped);
        assertEquals(isOf(4, text), isIpv4(text));
        assertEquals(familyOf(text), isIpv4(text) ? 4 : isIpv6(text) ? 6 : undefined);
      }),
      { numRuns: 2000 },
    );
  });

  test("have the core's one text", () => {
    fc.assert(fc.property(fc.ipV6(), (text) => assertEquals(canonical(text), canonicalIpv6(text))), { numRuns: 1000 });
    fc.assert(fc.property(fc.ipV4(), (text) => assertEquals(canonical(text), text)));
    assertEquals(canonical("FE80:0::1%Eth0"), "fe80::1%Eth0");
  });

  test("have a zone only when they are link-local", () => {
    for (const text of ["fe80::1%eth0", "FE80::1%3", "febf::1%br-lan.7", "fe80::1%Ethernet_2"]) {
      assertEquals([isIpv6(text), isLinkLocal(text)], [true, true], text);
    }
    for (
      const text of ["fec0::1%eth0", "fd00::1%eth0", "::1%lo", "ff12::1%eth0", "fe80::1%", "fe80::1%a b", "fe80::1%a%b"]
    ) {
      assertEquals(isIpv6(text), false, text);
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
