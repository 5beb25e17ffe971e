// Errors: those that callers catch, and how values are shown in them.
import { describe, test } from "node:test";
import { assert, assertEquals, assertInstanceOf, assertLessOrEqual } from "@std/assert";
import * as fc from "fast-check";
import {
  ClosedError,
  DecodeError,
  KeyTooLongError,
  MeshOpenError,
  QuorumNotSatisfiedError,
  QuorumUnsupportedError,
  show,
} from "../src/errors.ts";
import { anyString } from "./support/arbitraries.ts";

describe("errors", () => {
  test("have the name of their class, and a message with the action, the rule and the value", () => {
    const cause = new Error("EADDRINUSE");
    const errors: readonly [Error, string, string][] = [
      [new ClosedError("publish"), "ClosedError", "Cannot publish as the bus is closed"],
      [
        new MeshOpenError("port", 80, "binding `port` must be permitted", cause),
        "MeshOpenError",
        "Cannot open the mesh as binding `port` must be permitted: current value of `port` is 80",
      ],
      [
        new KeyTooLongError("x".repeat(2000), 2000, 1378),
        "KeyTooLongError",
        "Cannot publish as a key must fit one datagram, 1378 bytes of UTF-8: " +
        `current value "${"x".repeat(76)}... has 2000 bytes`,
      ],
      [
        new QuorumUnsupportedError(),
        "QuorumUnsupportedError",
        "Cannot await acknowledgements as no peer can give them (quorum unsupported): use `publish`, or 0 replicas",
      ],
      [
        new QuorumNotSatisfiedError(3, 1),
        "QuorumNotSatisfiedError",
        "Quorum not satisfied: 1 of 3 replicas have acknowledged",
      ],
      [new DecodeError("it is short"), "DecodeError", "Cannot decode the datagram as it is short"],
    ];
    for (const [error, name, message] of errors) {
      assertInstanceOf(error, Error);
      assertEquals([error.name, error.message, String(error)], [name, message, `${name}: ${message}`]);
    }
  });

  test("carry what a caller needs", () => {
    const cause = new Error("EADDRINUSE");
    const open = new MeshOpenError("port", 80, "it must be free", cause);
    assertEquals([open.option, open.value, open.cause], ["port", 80, cause]);
    const long = new KeyTooLongError("k", 2000, 1378);
    assertInstanceOf(long, RangeError);
    assertEquals([long.bytes, long.limit], [2000, 1378]);
    const quorum = new QuorumNotSatisfiedError(3, 1);
    assertEquals([quorum.required, quorum.acknowledged], [3, 1]);
    assertEquals([quorum.acknowledgements, quorum.missing], [[], []]);
    const missing = Array.from({ length: 5 }, (_, i) => ({ node: `n${i}`, reason: "lost" as const }));
    const acknowledgements = [{ node: "a", zone: "z1", outcome: "delivered" as const }];
    const zones = new QuorumNotSatisfiedError(2, 1, acknowledgements, missing, "zones");
    assertEquals([zones.acknowledgements, zones.missing], [acknowledgements, missing]);
    assertEquals(
      zones.message,
      "Quorum not satisfied: 1 of 2 zones have acknowledged (n0 lost, n1 lost, n2 lost, n3 lost, 1 more)",
    );
  });
});

describe("show", () => {
  const shown: readonly [unknown, string][] = [
    ["a\nb", '"a\\nb"'],
    [5, "5"],
    [-0, "0"],
    [5n, "5"],
    [undefined, "undefined"],
    [null, "null"],
    [Symbol("s"), "Symbol(s)"],
    [["a", 1, ["b"]], '["a",1,[...]]'],
    [{}, "[object Object]"],
    [Object.create(null), "object"],
    [new Uint8Array(), "object"],
    [new Error("no\nway"), "Error: no way"],
    ["x".repeat(78), `"${"x".repeat(78)}"`],
    ["x".repeat(79), `"${"x".repeat(76)}...`],
  ];
  for (const [i, [value, text]] of shown.entries()) {
    test(`makes a line of a value (${i})`, () => assertEquals(show(value), text));
  }

  test("shows values that throw", () => {
    const fanoutScope: unknown[] = [];
    fanoutScope.push(fanoutScope);
    const revoked = Proxy.revocable([], {});
    revoked.revoke();
    const values: unknown[] = [fanoutScope, revoked.proxy, { toString: null, valueOf: null }, {
      toString() {
        throw new Error("no");
      },
    }];
    assertEquals(values.map(show), ["[[...]]", "object", "object", "object"]);
  });

  test("never throws, and is one line of 1 to 80 characters", () => {
    const value = fc.oneof(fc.anything({ withNullPrototype: true, withTypedArray: true, withDate: true }), anyString);
    fc.assert(
      fc.property(fc.oneof(value, fc.array(value, { maxLength: 3 }), fc.func(fc.constant(1))), (value) => {
        const text = show(value);
        assert(!/[\n\r]/.test(text), text);
        assert(text.length > 0);
        assertLessOrEqual(text.length, 80);
      }),
      { numRuns: 200 },
    );
  });
});
