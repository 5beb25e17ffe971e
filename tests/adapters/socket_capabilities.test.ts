// Socket capabilities: which options of `bind` each API of a runtime cannot meet.
import { assertEquals } from "@std/assert";
import { describe, test } from "node:test";
import { type Abilities, cannot } from "../../adapters/socket_capabilities.ts";
import type { BindOptions } from "../../src/platform/datagram_socket.ts";
import { LOCAL } from "../support/sockets.ts";

const all: Abilities = { api: "all", ipv6: true, receiveBuffer: true, multicastFrom: "any", ttlWithoutJoin: true };
const bound: Abilities = { ...all, api: "bound", multicastFrom: "bound" };
const least: Abilities = {
  api: "least",
  ipv6: false,
  receiveBuffer: false,
  multicastFrom: "default",
  ttlWithoutJoin: false,
};

const own: BindOptions = { ...LOCAL, host: "0.0.0.0", sendsMulticast: true, multicastInterface: "127.0.0.1" };
const joined: BindOptions = { ...own, shared: true, joinGroup: "239.0.0.1" };

describe("cannot", () => {
  test("is undefined for an API with all capabilities", () => {
    for (const options of [LOCAL, own, joined, { ...own, multicastTtl: 9 }]) {
      assertEquals(cannot(all, options), undefined);
    }
  });

  test("is undefined for a socket without multicast on every API", () => {
    for (const options of [LOCAL, own, joined, { ...own, multicastTtl: 9 }]) {
      assertEquals(cannot(least, { ...options, sendsMulticast: false }), undefined);
    }
  });

  test("covers a socket of IPv6 alone", () => {
    for (const host of ["::", "::1", "fe80::1%eth0"]) {
      assertEquals(cannot(least, { ...LOCAL, host }), "least cannot keep IPv4 out of a socket of IPv6");
      assertEquals(cannot(all, { ...LOCAL, host }), undefined);
    }
  });

  test("does not cover the receive buffer, which may be unmet", () => {
    assertEquals(cannot(least, { ...LOCAL, receiveBuffer: 1 << 20, preferReceiveBuffer: true }), undefined);
  });

  test("covers an interface to send from", () => {
    assertEquals(cannot(least, own), "least cannot choose the interface that multicast leaves by");
    assertEquals(
      cannot(bound, own),
      "bound can send multicast from 127.0.0.1 only when bound to that address, not to 0.0.0.0",
    );
    assertEquals(cannot(bound, { ...own, host: "127.0.0.1" }), undefined);
    assertEquals(cannot(least, { ...own, multicastInterface: undefined }), undefined);
  });

  test("covers a TTL with and without a group", () => {
    const ttl = { multicastInterface: undefined, multicastTtl: 9 };
    assertEquals(cannot(least, { ...joined, ...ttl }), undefined);
    assertEquals(
      cannot(least, { ...own, ...ttl }),
      "least can set the TTL of multicast only on a socket that has joined a group",
    );
  });
});
