// The two lists in a heartbeat: the nodes heard by multicast, and the peer exchange.
import { describe, test } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import * as fc from "fast-check";
import { MAX_DATAGRAM, MAX_EXCHANGED, MAX_HEARD } from "../../src/wire/layout.ts";
import {
  type ExchangedPeer,
  isHeard,
  listsNode,
  readPeers,
  writeHeard,
  writePeers,
} from "../../src/wire/peer_exchange.ts";
import { nodeId } from "../support/arbitraries.ts";
import { fromHex, toHex } from "../support/hex.ts";

const ID = fromHex("00112233445546778899aabbccddeeff");
const OTHER = fromHex("ffeeddccbbaa49888766554433221100");

function peersOf(count: number, host = "10.0.0.1"): ExchangedPeer[] {
  return Array.from({ length: count }, (_, i) => ({ id: new Uint8Array(16).fill(i), host, port: 1 + i }));
}

describe("nodes heard by multicast", () => {
  test("are the first four bytes of each id", () => {
    assertEquals(toHex(writeHeard([ID, OTHER])), "00112233ffeeddcc");
    assertEquals(writeHeard([]).length, 0);
  });

  test("are found by those, at any position of the list and at no other", () => {
    const list = writeHeard([OTHER, ID]);
    assertEquals([listsNode(list, ID), listsNode(list, OTHER), listsNode(list, new Uint8Array(16))], [
      true,
      true,
      false,
    ]);
    // 2233ffee is in the bytes across two entries, and no entry.
    assertEquals(listsNode(writeHeard([ID, OTHER]), fromHex("2233ffee".padEnd(32, "0"))), false);
    assertEquals(listsNode(new Uint8Array(), ID), false);
  });

  test("are in the list if they were put there; others only when their ids begin alike", () => {
    // Few different bytes, so that ids share some of the first four.
    const id = fc.uint8Array({ min: 0, max: 1, minLength: 16, maxLength: 16 });
    fc.assert(
      fc.property(fc.array(id, { maxLength: 6 }), id, (ids, wanted) => {
        const isListed = ids.some((each) => toHex(each).slice(0, 8) === toHex(wanted).slice(0, 8));
        assertEquals(listsNode(writeHeard(ids), wanted), isListed);
      }),
      { numRuns: 500 },
    );
  });

  test("are at most 256, and whole ids", () => {
    const lengths = [0, 4, 8, 1020, 1024, 1, 2, 3, 5, 1023, 1025, 1028];
    assertEquals(lengths.map((length) => isHeard(new Uint8Array(length))), [
      ...[true, true, true, true, true],
      ...[false, false, false, false, false, false, false],
    ]);
    assertEquals(MAX_HEARD, 256);
  });
});

describe("peers of a peer exchange", () => {
  const V4 = "04" + "00112233445546778899aabbccddeeff" + "0a000001" + "1f0a";
  const V6 = "06" + "ffeeddccbbaa49888766554433221100" + "fd000000000000000000000000000001" + "c350";

  test("are a family and id, address and port of each", () => {
    const four = { id: ID, host: "10.0.0.1", port: 7946 };
    const six = { id: OTHER, host: "fd00::1", port: 50_000 };
    assertEquals([toHex(writePeers([four])), toHex(writePeers([six]))], [V4, V6]);
    assertEquals([readPeers(fromHex(V4)), readPeers(fromHex(V6))], [[four], [six]]);
  });

  test("may be none, of either family", () => {
    assertEquals([readPeers(Uint8Array.of(4)), readPeers(Uint8Array.of(6)), toHex(writePeers([]))], [[], [], "04"]);
  });

  const malformed: readonly [string, string][] = [
    ["nothing at all", ""],
    ["another family", `05${V4.slice(2)}`],
    ["the family 0", `00${V4.slice(2)}`],
    ["addresses of the other family", `06${V4.slice(2)}`],
    ["a byte too few", V4.slice(0, -2)],
    ["a byte too many", `${V4}00`],
    ["a byte too few of the second", `${V4}${V4.slice(2, -2)}`],
    ["the port 0", `${V4.slice(0, -4)}0000`],
    ["the port 0 of the second", `${V4}${V4.slice(2, -4)}0000`],
  ];
  for (const [name, hex] of malformed) {
    test(`are not read: ${name}`, () => assertEquals(readPeers(fromHex(hex)), undefined));
  }

  test("are at most 32", () => {
    for (const host of ["10.0.0.1", "fd00::1"]) {
      const most = writePeers(peersOf(MAX_EXCHANGED, host));
      assertEquals(readPeers(most)?.length, 32);
      const one = writePeers(peersOf(1, host)).subarray(1);
      assertEquals(readPeers(Uint8Array.of(...most, ...one)), undefined);
      assertThrows(() => writePeers(peersOf(MAX_EXCHANGED + 1, host)), RangeError, "at most 32");
    }
  });

  test("are read as they were written", () => {
    const port = fc.integer({ min: 1, max: 65_535 });
    const plain = { noNullPrototype: true };
    const v4 = fc.record({ id: nodeId, host: fc.ipV4(), port }, plain);
    const v6 = fc.record({ id: nodeId, host: fc.constantFrom("fd00::1", "2001:db8:1:2:3:4:5:6", "::1"), port }, plain);
    const list = fc.oneof(fc.array(v4, { maxLength: 32 }), fc.array(v6, { maxLength: 32 }));
    fc.assert(
      fc.property(list, (peers) => {
        assertEquals(readPeers(writePeers(peers))?.map(({ id, ...rest }) => ({ id: id.slice(), ...rest })), peers);
      }),
    );
  });

  test("are read from any bytes without an exception, as literals and ports to which datagrams can be sent", () => {
    let count = 0;
    const value = fc.tuple(
      fc.constantFrom(4, 6),
      fc.nat(3),
      fc.uint8Array({ minLength: 102, maxLength: 102 }),
      fc.nat(3),
    )
      .map(([family, peers, bytes, lie]) => {
        const length = peers * (family === 4 ? 22 : 34) + (lie === 0 ? 1 : 0);
        return Uint8Array.of(family, ...bytes.subarray(0, length));
      });
    fc.assert(
      fc.property(fc.oneof(value, fc.uint8Array({ maxLength: 80 })), (value) => {
        const peers = readPeers(value);
        if (peers === undefined) return;
        count += peers.length;
        for (const { id, host, port } of peers) {
          assert(id.length === 16 && id.buffer === value.buffer);
          assert(port >= 1 && port <= 65_535);
          assert(value[0] === 4 ? /^(\d{1,3}\.){3}\d{1,3}$/.test(host) : /^[0-9a-f:]{2,39}$/.test(host), host);
        }
        assertEquals(toHex(writePeers(peers)), peers.length === 0 ? "04" : toHex(value));
      }),
      { numRuns: 1000 },
    );
    assert(count > 100, `${count} peers`);
  });
});

test("both lists at their longest fit a heartbeat, with everything else in it", () => {
  // The header, a name of 45 characters, position, path, nonce, echo and token; and 8 records and the block have heads.
  const others = 28 + 52 + 16 + 1 + 4 + 4 + 8 + 8 * 3 + 3;
  assert(
    others + writeHeard(peersOf(MAX_HEARD).map(({ id }) => id)).length + writePeers(peersOf(4, "::1")).length <=
      MAX_DATAGRAM,
  );
  assert(others + writePeers(peersOf(MAX_EXCHANGED, "::1")).length <= MAX_DATAGRAM);
});
