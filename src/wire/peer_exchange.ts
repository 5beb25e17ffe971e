/**
 * Peer exchange: the two lists of nodes in a heartbeat, of nodes whose multicast the sender hears and of peers that it
 * knows.
 *
 * @module
 */

import { readU16, writeU16 } from "./integers.ts";
import { IP_LENGTH, readIp, writeIp } from "./ip.ts";
import { MAX_EXCHANGED, MAX_HEARD, NODE_ID_LENGTH, SHORT_ID_LENGTH } from "./layout.ts";
import { equalBytes } from "./packet.ts";

/** A node in the peer exchange of another. */
export interface ExchangedPeer {
  /** Its node id, 16 bytes: a view when it was read from a datagram. */
  readonly id: Uint8Array;
  /** An IPv4 or IPv6 literal without a zone, as a zone is valid on one host only. */
  readonly host: string;
  /** Its port, 1 to 65535. */
  readonly port: number;
}

/** Whether a list of nodes heard by multicast contains the node `id`. */
export function listsNode(heard: Uint8Array, id: Uint8Array): boolean {
  for (let i = 0; i < heard.length; i += SHORT_ID_LENGTH) {
    if (
      heard[i] === id[0] && heard[i + 1] === id[1] && heard[i + 2] === id[2] && heard[i + 3] === id[3]
    ) return true;
  }
  return false;
}

/** Encodes a list of nodes heard by multicast. */
export function writeHeard(ids: readonly Uint8Array[]): Uint8Array {
  const value = new Uint8Array(SHORT_ID_LENGTH * ids.length);
  ids.forEach((id, i) => value.set(id.subarray(0, SHORT_ID_LENGTH), SHORT_ID_LENGTH * i));
  return value;
}

/** Whether a value is such a list, by its length. */
export function isHeard(value: Uint8Array): boolean {
  return value.length % SHORT_ID_LENGTH === 0 && value.length <= MAX_HEARD * SHORT_ID_LENGTH;
}

/** Reads the peers of a peer exchange. `undefined` when the value is malformed. */
export function readPeers(value: Uint8Array): readonly ExchangedPeer[] | undefined {
  const family = value[0];
  if (family !== 4 && family !== 6) return undefined;
  const length = NODE_ID_LENGTH + IP_LENGTH[family] + 2;
  const count = (value.length - 1) / length;
  if (!Number.isInteger(count) || count > MAX_EXCHANGED) return undefined;
  const peers: ExchangedPeer[] = [];
  for (let offset = 1; offset < value.length; offset += length) {
    const address = offset + NODE_ID_LENGTH;
    const port = readU16(value, address + IP_LENGTH[family]);
    if (port === 0) return undefined;
    peers.push({ id: value.subarray(offset, address), host: readIp(value, address, family), port });
  }
  return peers;
}

/**
 * Encodes the peers of a peer exchange, all of one family, which the first one decides.
 *
 * @throws {RangeError} when a peer could not be read again as it is
 */
export function writePeers(peers: readonly ExchangedPeer[]): Uint8Array {
  const family = peers[0]?.host.includes(":") ? 6 : 4;
  const length = NODE_ID_LENGTH + IP_LENGTH[family] + 2;
  const value = new Uint8Array(1 + peers.length * length);
  value[0] = family;
  peers.forEach(({ id, host, port }, i) => {
    const offset = 1 + i * length;
    value.set(id, offset);
    writeIp(value, offset + NODE_ID_LENGTH, host, family);
    writeU16(value, offset + length - 2, port);
  });
  const read = readPeers(value) ?? [];
  const wrong = peers.find(({ id, host, port }, i) => {
    const { id: readId, host: readHost, port: readPort } = read[i] ?? {};
    return readId === undefined || !equalBytes(id, readId) || host !== readHost || port !== readPort;
  });
  if (wrong === undefined) return value;
  throw new RangeError(
    "Cannot encode as a peer must have an id of 16 bytes, a port from 1 to 65535 and an address as RFC 5952 writes it, all " +
      `of one family and at most ${MAX_EXCHANGED}: current value is ${wrong.host} port ${wrong.port}`,
  );
}
