// Endpoints as text: `host:port`.
import { describe, test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import * as fc from "fast-check";
import {
  canonical,
  formatAddress,
  formatEndpoint,
  isGroup,
  isIpv4,
  isIpv6,
  isLoopback,
  isUnicast,
  isUnspecified,
  parseAddress,
} from "../../src/platform/endpoint.ts";
import { anyString } from "../support/arbitraries.ts";

describe("parseAddress", () => {
  const good: Readonly<Record<string, readonly [string, number]>> = {
    "10.0.0.1:7946": ["10.0.0.1", 7946],
    "cache.default.svc:7946": ["cache.default.svc", 7946],
    "my_host-1:1": ["my_host-1", 1],
    ":7946": ["", 7946],
    "0.0.0.0:0": ["0.0.0.0", 0],
    "a:65535": ["a", 65535],
    "a:007": ["a", 7],
    "[::1]:7946": ["::1", 7946],
    "[::]:0": ["::", 0],
    "[::ffff:10.0.0.1]:80": ["::ffff:10.0.0.1", 80],
  };
  for (const [text, [host, port]] of Object.entries(good)) {
    test(`splits ${JSON.stringify(text)}`, () => assertEquals(parseAddress(text), { host, port }));
  }

  const bad = [
    "",
    ":",
    "a",
    "a:",
    "a:65536",
    "a:99999",
    "a:100000",
    "a:000001",
    "a:-1",
    "a:+1",
    "a:1.5",
    "a:1e3",
    "a:0x10",
    "a: 1",
    " a:1",
    "a b:1",
    "a:1\n",
    "a\n:1",
    "a:1:2",
    "::1:7946",
    "[::1]",
    "[]:1",
    "[::1:1",
    "::1]:1",
    "[a]b:1",
    "[name]:1",
    "http://a:1",
    "a/b:1",
    "a@b:1",
    "a:\u0661",
    "\u001bc:1",
    "a\0:1",
    "\u202ea:1",
  ];
  for (const text of bad) {
    test(`refuses ${JSON.stringify(text)}`, () => assertEquals(parseAddress(text), undefined));
  }

  test("takes names of up to 253 characters", () => {
    assertEquals(parseAddress(`${"a".repeat(253)}:1`)?.host.length, 253);
    assertEquals(parseAddress(`${"a".repeat(254)}:1`), undefined);
  });

  test("parses long hostile texts in linear time", () => {
    // Quadratic work on these would take minutes.
    for (const part of ["a", "1", ":", "[", "0:", "[:", "."]) {
      assertEquals(parseAddress(part.repeat(500_000)), undefined);
      assertEquals(isIpv4(part.repeat(500_000)), false);
    }
  });

  test("parses what formatAddress made", () => {
    const host = fc.oneof(fc.ipV4(), fc.domain(), fc.ipV6().filter((ip) => ip.includes(":")), fc.constant(""));
    fc.assert(fc.property(host.filter((text) => text.length < 254), fc.nat(65535), (host, port) => {
      assertEquals(parseAddress(formatAddress(host, port)), { host, port });
    }));
  });

  test("never throws, and returns a possible port", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), anyString, fc.stringMatching(/^.*:\d+$/)), (text) => {
        const parsed = parseAddress(text);
        if (parsed !== undefined) assert(parsed.port >= 0 && parsed.port <= 65535);
      }),
    );
  });
});

describe("isIpv4", () => {
  test("takes four decimal numbers", () => {
    for (const text of ["0.0.0.0", "1.2.3.4", "10.20.30.40", "99.100.199.200", "249.250.255.255", "255.255.255.255"]) {
      assertEquals(isIpv4(text), true, text);
    }
  });

  test("refuses everything else", () => {
    const texts = [
      "",
      "1",
      "1.2.3",
      "1.2.3.4.",
      ".1.2.3.4",
      "1.2.3.4.5",
      "1..3.4",
      "256.1.1.1",
      "1.1.1.256",
      "01.2.3.4",
    ];
    for (
      const text of [...texts, "1.2.3.00", "1.2.3.4 ", "1.2.3.4\n", "1.2.3.-4", "1.2.3.a", "0x1.2.3.4", "::1", "a"]
    ) {
      assertEquals(isIpv4(text), false, text);
    }
  });

  test("agrees with the numbers themselves", () => {
    const number = fc.oneof(fc.nat(300), fc.constantFrom(-1, 0, 255, 256, 1000));
    fc.assert(fc.property(fc.array(number, { minLength: 3, maxLength: 5 }), (numbers) => {
      const expected = numbers.length === 4 && numbers.every((each) => each >= 0 && each <= 255);
      assertEquals(isIpv4(numbers.join(".")), expected);
    }));
  });
});

describe("isIpv6", () => {
  const good = [
    "::",
    "::1",
    "1::",
    "fd00::1",
    "FD00:0::1",
    "1:2:3:4:5:6:7:8",
    "1:2:3:4:5:6:7::",
    "::2:3:4:5:6:7:8",
    "0001:0:0:0:0:0:0:FFFF",
    "::1.2.3.4",
    "::ffff:1.2.3.4",
    "1:2:3:4:5:6:1.2.3.4",
    "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255",
  ];
  const bad = [
    "",
    ":",
    ":::",
    "1",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1:2:3:4:5:6:7:8::",
    "::1::",
    "1::2::3",
    "1:::2",
    ":1::",
    "1:",
    "::1:",
    "::12345",
    "::g",
    "::-1",
    "::+1",
    ":: 1",
    " ::1",
    "::1\n",
    "[::1]",
    "::1%lo",
    "fe80::1%eth0",
    "::1/64",
    "1.2.3.4",
    "1.2.3.4::",
    "1.2.3.4::1",
    "::1.2.3.4:5",
    "::1.2.3",
    "::1.2.3.256",
    "1:2:3:4:5:6:7:1.2.3.4",
    "::\u0661",
  ];
  for (const text of good) test(`takes ${JSON.stringify(text)}`, () => assertEquals(isIpv6(text), true));
  for (const text of bad) test(`refuses ${JSON.stringify(text)}`, () => assertEquals(isIpv6(text), false));

  test("accepts any numbers", () => {
    fc.assert(fc.property(fc.ipV6(), (text) => assertEquals(isIpv6(text), true)));
  });

  test("checks long hostile texts in linear time", () => {
    for (const part of ["a", ":", "::", "0:", "1.", "."]) assertEquals(isIpv6(part.repeat(500_000)), false);
  });
});

describe("canonical", () => {
  // The examples of RFC 5952, section 4, and others.
  const forms: Readonly<Record<string, string>> = {
    "2001:0DB8::0001": "2001:db8::1",
    "2001:db8:0:0:0:0:2:1": "2001:db8::2:1",
    "2001:db8:0:1:1:1:1:1": "2001:db8:0:1:1:1:1:1",
    "2001:db8::1:1:1:1:1": "2001:db8:0:1:1:1:1:1",
    "2001:0:0:1:0:0:0:1": "2001:0:0:1::1",
    "2001:db8:0:0:1:0:0:1": "2001:db8::1:0:0:1",
    "0:0:0:0:0:0:0:0": "::",
    "0:0:0:0:0:0:0:1": "::1",
    "1:0:0:0:0:0:0:0": "1::",
    "1:2:3:4:5:6:7::": "1:2:3:4:5:6:7:0",
    "::ffff:1.2.3.4": "::ffff:102:304",
  };
  for (const [text, expected] of Object.entries(forms)) {
    test(`makes ${expected} of ${text}`, () => assertEquals(canonical(text), expected));
  }

  test("means the same address, and changes nothing the second time", () => {
    fc.assert(fc.property(fc.ipV6(), (text) => {
      const once = canonical(text);
      assertEquals([isIpv6(once), canonical(once)], [true, once]);
      assertEquals(groups(once), groups(text));
    }));
  });

  /** All eight numbers, written out. */
  function groups(text: string): string {
    const hex = text.replace(
      /(\d+)\.(\d+)\.(\d+)\.(\d+)$/,
      (_, a, b, c, d) => `${(a * 256 + +b).toString(16)}:${(c * 256 + +d).toString(16)}`,
    );
    const [head = [], tail = []] = hex.split("::").map((half) => half.split(":").filter((part) => part !== ""));
    const zeros = new Array<string>(8 - head.length - tail.length).fill("0");
    return [...head, ...zeros, ...tail].map((part) => parseInt(part, 16).toString(16)).join(":");
  }
});

describe("addresses", () => {
  test("are multicast from 224 to 239", () => {
    for (const text of ["224.0.0.0", "239.0.0.1", "239.255.255.255"]) assertEquals(isGroup(text), true, text);
    for (const text of ["223.255.255.255", "240.0.0.0", "22.4.0.0", "0.0.0.0", "255.255.255.255"]) {
      assertEquals(isGroup(text), false, text);
    }
  });

  test("can be one host's from 1 to 223", () => {
    for (const text of ["1.0.0.0", "127.0.0.1", "223.255.255.255"]) assertEquals(isUnicast(text), true, text);
    for (const text of ["0.0.0.0", "0.1.2.3", "224.0.0.0", "239.0.0.1", "240.0.0.0", "255.255.255.255"]) {
      assertEquals(isUnicast(text), false, text);
    }
  });

  test("name no host when they are empty or zero", () => {
    for (const text of ["", "0.0.0.0", "::", "0:0:0:0:0:0:0:0", "0"]) assertEquals(isUnspecified(text), true, text);
    for (const text of ["::1", "0.0.0.1", "10.0.0.0", "a", "127.0.0.1"]) assertEquals(isUnspecified(text), false, text);
  });

  test("never leave the host when they are loopback addresses", () => {
    for (const text of ["127.0.0.1", "127.255.255.255", "::1"]) assertEquals(isLoopback(text), true, text);
    for (const text of ["126.0.0.1", "128.0.0.1", "10.127.0.1", "::", "::2", "localhost"]) {
      assertEquals(isLoopback(text), false, text);
    }
  });

  test("are written with brackets round IPv6", () => {
    assertEquals([formatAddress("10.0.0.1", 1), formatAddress("::1", 2)], ["10.0.0.1:1", "[::1]:2"]);
    assertEquals(formatEndpoint({ host: "::1", port: 2 }), "[::1]:2");
  });
});
