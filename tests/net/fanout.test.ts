// The fan-out: where batches go besides the group, and the scope of what only the extension knows.
import { describe, test } from "node:test";
import { assertEquals, assertStrictEquals } from "@std/assert";
import { Fanout, type Reachable, unique, unknownEndpoints } from "../../src/net/fanout.ts";
import { type Endpoint, formatAddress } from "../../src/platform/endpoint.ts";

function endpoints(...texts: string[]): Endpoint[] {
  return texts.map((text) => {
    const [host, port] = text.split(":") as [string, string];
    return { host, port: Number(port) };
  });
}

/** Peers, of which all but the first speak the extension; those of them that hear the group need no copies. */
function reachable(peers: readonly Endpoint[], hearing: readonly Endpoint[] = []): Reachable {
  const names = new Set(shown(hearing));
  const copies = peers.filter(({ host, port }) => !names.has(formatAddress(host, port)));
  const speakers = copies.filter((peer) => peer !== peers[0]);
  return { endpoints: () => peers, copies: () => copies, extendedCopies: () => speakers };
}

function shown(list: readonly Endpoint[]): string[] {
  return list.map(({ host, port }) => formatAddress(host, port));
}

// Name, peers, seeds, and those of the seeds that batches go to as well.
const cases: readonly [string, string[], string[], string[]][] = [
  ["a seed that is not known yet", [], ["a:7946"], ["a:7946"]],
  ["a seed that is a peer itself", ["a:7946"], ["a:7946"], []],
  ["a seed whose node is known by its own port", ["a:50000"], ["a:7946"], []],
  ["a seed on another host than the peers", ["a:50000"], ["b:7946"], ["b:7946"]],
  ["two seeds on a host with one peer", ["a:50000"], ["a:1", "a:2"], ["a:1", "a:2"]],
  ["two seeds on a host with two peers", ["a:50000", "a:50001"], ["a:1", "a:2"], []],
  ["two seeds on a host, one of which is a peer", ["a:1"], ["a:1", "a:2"], ["a:2"]],
  ["two seeds on a host, one of which is a peer, and another peer", ["a:1", "a:50000"], ["a:1", "a:2"], []],
  ["several hosts", ["a:50000", "c:50000"], ["a:7946", "b:7946", "c:7946"], ["b:7946"]],
];

describe("batches go to all peers that need copies, and to", () => {
  for (const [name, peers, seeds, extra] of cases) {
    test(name, () => {
      const [known, given] = [reachable(endpoints(...peers)), endpoints(...seeds)];
      const { batch } = new Fanout(() => known, () => given);
      assertEquals(shown(batch), [...peers, ...extra]);
      // A peer that hears the group covers its seed all the same.
      const hearing = reachable(endpoints(...peers), endpoints(...peers));
      assertEquals(shown(new Fanout(() => hearing, () => given).batch), extra);
    });
  }
});

test("destinations are computed again only when a list is another", () => {
  let [peers, seeds] = [reachable(endpoints("a:1")), endpoints("b:1")];
  const fanout = new Fanout(() => peers, () => seeds);
  const before = fanout.batch;
  assertStrictEquals(fanout.batch, before);
  peers = reachable(endpoints("a:1", "b:50000"));
  assertEquals(shown(fanout.batch), ["a:1", "b:50000"]);
  seeds = endpoints("c:1");
  assertEquals(shown(fanout.batch), ["a:1", "b:50000", "c:1"]);
});

test("destinations are computed again when a peer begins to hear the group, or hears it no more", () => {
  const peers = endpoints("a:1", "b:1");
  const [some, all] = [reachable(peers, endpoints("b:1")), reachable(peers)];
  const none: readonly Endpoint[] = [];
  let now = some;
  const fanout = new Fanout(() => ({ ...now, endpoints: () => peers }), () => none);
  assertEquals([shown(fanout.batch), shown(fanout.extended)], [["a:1"], []]);
  now = all;
  assertEquals([shown(fanout.batch), shown(fanout.extended)], [["a:1", "b:1"], ["b:1"]]);
  now = some;
  assertEquals([shown(fanout.batch), shown(fanout.extended)], [["a:1"], []]);
});

test("endpoints are compared by host and port, and each counts once however often it is named", () => {
  const all = endpoints("a:1", "a:2", "b:1", "a:1");
  assertEquals(shown(unknownEndpoints(all, endpoints("a:1", "c:1"))), ["a:2", "b:1"]);
  assertEquals(shown(unique(all)), ["a:1", "a:2", "b:1"]);
});

test("extension packets go to peers with the extension, to each endpoint once, and to seeds that may have it", () => {
  let peers = reachable(endpoints("a:1", "b:1", "b:1", "c:1"));
  let seeds = endpoints("a:7946", "c:1", "d:1");
  const fanout = new Fanout(() => peers, () => seeds);
  const before = fanout.extended;
  assertEquals(shown(before), ["b:1", "c:1", "d:1"]);
  assertStrictEquals(fanout.extended, before);
  peers = reachable(endpoints("a:1"));
  assertEquals(shown(fanout.extended), ["c:1", "d:1"]);
  seeds = [];
  assertEquals(shown(fanout.extended), []);
});
