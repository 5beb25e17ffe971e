/**
 * Numbered peers: the id and the address of each number, and a table of them on a clock.
 *
 * @module
 */

import type { KnownPeer, PeerEntry } from "../../src/membership/peer.ts";
import { type HeardPeer, PeerTable, type PeerTableConfig } from "../../src/membership/peer_table.ts";
import type { Clock } from "../../src/platform/clock.ts";
import type { Endpoint } from "../../src/platform/endpoint.ts";
import { formatNodeId } from "../../src/wire/node_id.ts";

/** The id of a node, 16 bytes. */
export function idOf(index: number): Uint8Array {
  const id = new Uint8Array(16);
  new DataView(id.buffer).setUint32(0, index);
  return id;
}

/** The id as text. */
export function nameOf(index: number): string {
  return formatNodeId(idOf(index));
}

/** The address of a node by default: 10.0.0.1:5000 for the first, and so on. */
export function placeOf(index: number): Endpoint {
  return { host: `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`, port: 5000 };
}

/** `host:port`. */
export function addressOf(index: number): string {
  const { host, port } = placeOf(index);
  return `${host}:${port}`;
}

/** A heartbeat of a node with the extension, from its advertised address. */
export function heardFrom(index: number, rest: Partial<HeardPeer> = {}): HeardPeer {
  return {
    id: nameOf(index),
    nodeId: idOf(index),
    advertised: addressOf(index),
    source: placeOf(index),
    extended: true,
    ...rest,
  };
}

/** A table, and the peers that were evicted to make room. */
export function tableOn(
  clock: Clock,
  config: Partial<PeerTableConfig> = {},
): { readonly table: PeerTable; readonly evicted: KnownPeer[] } {
  const evicted: KnownPeer[] = [];
  const table = new PeerTable({
    capacity: 1024,
    plainCapacity: 1024,
    heartbeat: 1000,
    quietTimeout: 60_000,
    clock,
    rules: { family: 4, mayBeAt: () => true },
    onEvicted: (peer) => evicted.push(peer),
    ...config,
  });
  return { table, evicted };
}

/** Puts a part of a record into a state, in place of its writer, which the test does without. */
export function put<T extends object>(part: T, state: Partial<T>): void {
  Object.assign(part, state);
}

/** Hears a node, and by default validates its path. */
export function join(table: PeerTable, index: number, { validated = true, extended = true } = {}): PeerEntry {
  table.onHeartbeat(heardFrom(index, { extended }));
  const entry = table.get(nameOf(index)) as PeerEntry;
  if (validated) table.validate(entry, placeOf(index));
  return entry;
}
