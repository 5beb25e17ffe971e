/**
 * Probe records: what probes ask and probe acks report, by which a node measures the paths between itself and others.
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

/** How a probe is to be acknowledged. */
export interface Measure {
  /** Size that the ack should have, in bytes, 0 for the shortest. */
  readonly size: number;
  /** Whether the ack goes to the group. */
  readonly byGroup: boolean;
}

/** What a probe ack reports of the node that sends it, and of the requester. */
export interface Report {
  /** Port of the node's mesh. */
  readonly port: number;
  /** The node's time between heartbeats, in whole milliseconds. */
  readonly heartbeat: number;
  /**
   * What the node knows of the requester. 0: nothing. 1: it is heard. 2: a path to it is validated, but not at the
   * address that it advertises. 3: its advertised address is validated.
   */
  readonly requester: number;
  /** Whether the node has multicast. */
  readonly multicast: boolean;
  /** The node's group, an IPv4 or IPv6 literal. */
  readonly group: string;
}

/** Reads a value of the right length. `undefined` when it is malformed. */
export function readMeasure(value: Uint8Array): Measure | undefined {
  const path = value[2] as number;
  return path > 1 ? undefined : { size: readU16(value, 0), byGroup: path === 1 };
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

/** Reads a report. `undefined` when it is malformed. */
export function readReport(value: Uint8Array): Report | undefined {
  const family = value.length === REPORT_LENGTH + IP_LENGTH[4] ? 4 : 6;
  if (value.length !== REPORT_LENGTH + IP_LENGTH[family] || (value[6] as number) > REQUESTER_AT_ADDRESS) {
    return undefined;
  }
  return {
    port: readU16(value, 0),
    heartbeat: readU32(value, 2),
    requester: value[6] as number,
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
  const { port, heartbeat, requester, multicast, group } = report;
  const family = group.includes(":") ? 6 : 4;
  const value = new Uint8Array(REPORT_LENGTH + IP_LENGTH[family]);
  writeU16(value, 0, port);
  writeU32(value, 2, heartbeat);
  value[6] = requester;
  value[7] = multicast ? FLAG_MULTICAST : 0;
  writeIp(value, REPORT_LENGTH, group, family);
  return checked(value, readReport(value), report);
}

function checked<T extends Measure | Report>(value: Uint8Array, read: T | undefined, given: T): Uint8Array {
  const names = Object.keys(read ?? {}) as (keyof T)[];
  if (read !== undefined && names.every((name) => read[name] === given[name])) return value;
  throw new RangeError(`Cannot encode as a record of a probe is out of its range: current value is ${show(given)}`);
}

/**
 * A packet that ends with an extension block, padded to `size` bytes. Unchanged when the padding record would make it
 * longer than that.
 */
export function padded(packet: Uint8Array, size: number): Uint8Array {
  const length = size - packet.length - RECORD_HEADER_LENGTH;
  if (length < 0) return packet;
  const bytes = new Uint8Array(size);
  bytes.set(packet);
  bytes[packet.length] = TAG_PADDING;
  writeU16(bytes, packet.length + 1, length);
  return bytes;
}
