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
  test("an API that can do all can do anything", () => {
    for (const options of [LOCAL, own, joined, { ...own, multicastTtl: 9 }]) {
      assertEquals(cannot(all, options), undefined);
    }
  });

  test("a socket that sends no multicast is in every API's power", () => {
    for (const options of [LOCAL, own, joined, { ...own, multicastTtl: 9 }]) {
      assertEquals(cannot(least, { ...options, sendsMulticast: false }), undefined);
    }
  });

  test("a socket of IPv6 alone", () => {
    for (const host of ["::", "::1", "fe80::1%eth0"]) {
      assertEquals(cannot(least, { ...LOCAL, host }), "least cannot keep IPv4 out of a socket of IPv6");
      assertEquals(cannot(all, { ...LOCAL, host }), undefined);
    }
  });

  test("the receive buffer is a wish", () => {
    assertEquals(cannot(least, { ...LOCAL, receiveBuffer: 1 << 20, preferReceiveBuffer: true }), undefined);
  });

  test("an interface to send from", () => {
    assertEquals(cannot(least, own), "least cannot choose the interface that multicast leaves by");
    assertEquals(
      cannot(bound, own),
      "bound can send multicast from 127.0.0.1 only when bound to that address, not to 0.0.0.0",
    );
    assertEquals(cannot(bound, { ...own, host: "127.0.0.1" }), undefined);
    assertEquals(cannot(least, { ...own, multicastInterface: undefined }), undefined);
  });

  test("a TTL with and without a group", () => {
    const ttl = { multicastInterface: undefined, multicastTtl: 9 };
    assertEquals(cannot(least, { ...joined, ...ttl }), undefined);
    assertEquals(
      cannot(least, { ...own, ...ttl }),
      "least can set the TTL of multicast only on a socket that has joined a group",
    );
  });
});
