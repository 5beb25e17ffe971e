// `host:port` texts.
import { describe, test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import * as fc from "fast-check";
import { formatAddress, isIpv4, isMulticast, isUnicast, isUnspecified, parseAddress } from "../src/address.ts";
import { anyString } from "./support/arbitraries.ts";

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
    test(`takes ${JSON.stringify(text)} apart`, () => assertEquals(parseAddress(text), { host, port }));
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

  test("takes long hostile texts in no time", () => {
    // Quadratic work on these would take minutes.
    for (const part of ["a", "1", ":", "[", "0:", "[:", "."]) {
      assertEquals(parseAddress(part.repeat(500_000)), undefined);
      assertEquals(isIpv4(part.repeat(500_000)), false);
    }
  });

  test("gives back what formatAddress was given", () => {
    const host = fc.oneof(fc.ipV4(), fc.domain(), fc.ipV6().filter((ip) => ip.includes(":")), fc.constant(""));
    fc.assert(fc.property(host.filter((text) => text.length < 254), fc.nat(65535), (host, port) => {
      assertEquals(parseAddress(formatAddress(host, port)), { host, port });
    }));
  });

  test("never throws, and what it takes apart has a port that can be", () => {
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

describe("addresses", () => {
  test("are multicast from 224 to 239", () => {
    for (const text of ["224.0.0.0", "239.0.0.1", "239.255.255.255"]) assertEquals(isMulticast(text), true, text);
    for (const text of ["223.255.255.255", "240.0.0.0", "22.4.0.0", "0.0.0.0", "255.255.255.255"]) {
      assertEquals(isMulticast(text), false, text);
    }
  });

  test("are one host's from 1 to 223", () => {
    for (const text of ["1.0.0.0", "127.0.0.1", "223.255.255.255"]) assertEquals(isUnicast(text), true, text);
    for (const text of ["0.0.0.0", "0.1.2.3", "224.0.0.0", "239.0.0.1", "240.0.0.0", "255.255.255.255"]) {
      assertEquals(isUnicast(text), false, text);
    }
  });

  test("name no host when they are empty or zero", () => {
    for (const text of ["", "0.0.0.0", "::", "0:0:0:0:0:0:0:0", "0"]) assertEquals(isUnspecified(text), true, text);
    for (const text of ["::1", "0.0.0.1", "10.0.0.0", "a", "127.0.0.1"]) assertEquals(isUnspecified(text), false, text);
  });

  test("are written with brackets round IPv6", () => {
    assertEquals([formatAddress("10.0.0.1", 1), formatAddress("::1", 2)], ["10.0.0.1:1", "[::1]:2"]);
  });
});
