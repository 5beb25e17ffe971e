/**
 * The records of probes and their answers, by which it is found out which ways between two nodes are open.
 *
 * @module
 */

import { show } from "../errors.ts";
import { readU16, readU32, writeU16, writeU32 } from "./integers.ts";
import { IP_LENGTH, readIp, writeIp } from "./ip.ts";
import {
  FLAG_MULTICAST,
  MEASURE_LENGTH,
  RECORD_HEADER_LENGTH,
  REPORT_LENGTH,
  REQUESTER_AT_ADDRESS,
  TAG_PADDING,
} from "./layout.ts";

/** How a probe is to be answered. */
export interface Measure {
  /** Bytes that the answer should have, 0 for as few as can be. */
  readonly size: number;
  /** Whether it goes to the group. */
  readonly byGroup: boolean;
}

/** What a node answers of itself, and of who asks. */
export interface Report {
  /** Port of its mesh. */
  readonly port: number;
  /** Its time between heartbeats, in whole milliseconds. */
  readonly heartbeat: number;
  /** The asker: 0 not known; 1 heard; 2 has answered, but not where it advertises to be; 3 has answered there. */
  readonly asker: number;
  /** Whether it has multicast. */
  readonly multicast: boolean;
  /** Its group, an IPv4 or IPv6 literal. */
  readonly group: string;
}

/** Reads a value of the right length; `undefined` when it is malformed. */
export function readMeasure(value: Uint8Array): Measure | undefined {
  const way = value[2] as number;
  return way > 1 ? undefined : { size: readU16(value, 0), byGroup: way === 1 };
}

/**
 * The counterpart of {@linkcode readMeasure}.
 *
 * @throws {RangeError} when it could not be read again
 */
export function writeMeasure(measure: Measure): Uint8Array {
  const value = new Uint8Array(MEASURE_LENGTH);
  writeU16(value, 0, measure.size);
  value[2] = measure.byGroup ? 1 : 0;
  return checked(value, readMeasure(value), measure);
}

/** `undefined` when it is malformed. */
export function readReport(value: Uint8Array): Report | undefined {
  const family = value.length === REPORT_LENGTH + IP_LENGTH[4] ? 4 : 6;
  if (value.length !== REPORT_LENGTH + IP_LENGTH[family] || (value[6] as number) > REQUESTER_AT_ADDRESS) {
    return undefined;
  }
  return {
    port: readU16(value, 0),
    heartbeat: readU32(value, 2),
    asker: value[6] as number,
    multicast: ((value[7] as number) & FLAG_MULTICAST) !== 0,
    group: readIp(value, REPORT_LENGTH, family),
  };
}

/**
 * The counterpart of {@linkcode readReport}.
 *
 * @throws {RangeError} when it could not be read again
 */
export function writeReport(report: Report): Uint8Array {
  const { port, heartbeat, asker, multicast, group } = report;
  const family = group.includes(":") ? 6 : 4;
  const value = new Uint8Array(REPORT_LENGTH + IP_LENGTH[family]);
  writeU16(value, 0, port);
  writeU32(value, 2, heartbeat);
  value[6] = asker;
  value[7] = multicast ? FLAG_MULTICAST : 0;
  writeIp(value, REPORT_LENGTH, group, family);
  return checked(value, readReport(value), report);
}

function checked<T extends Measure | Report>(value: Uint8Array, read: T | undefined, given: T): Uint8Array {
  const names = Object.keys(read ?? {}) as (keyof T)[];
  if (read !== undefined && names.every((name) => read[name] === given[name])) return value;
  throw new RangeError(`Cannot encode as a record of a probe is out of its range: current value is ${show(given)}`);
}

/** A packet with a block at its end, padded to `size` bytes; as it is when it is longer than that would be. */
export function padded(packet: Uint8Array, size: number): Uint8Array {
  const length = size - packet.length - RECORD_HEADER_LENGTH;
  if (length < 0) return packet;
  const bytes = new Uint8Array(size);
  bytes.set(packet);
  bytes[packet.length] = TAG_PADDING;
  writeU16(bytes, packet.length + 1, length);
  return bytes;
}
