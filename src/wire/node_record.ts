/**
 * Node record: what the heartbeats of a node say of it.
 *
 * @module
 */

import { MAX_ZONE, NODE_ACKNOWLEDGES } from "./layout.ts";
import { isUtf8, readUtf8, utf8Length, writeUtf8 } from "./utf8.ts";

/** What a node says of itself. */
export interface NodeRecord {
  /** Whether it acknowledges deliveries. */
  readonly acknowledges: boolean;
  /** The zone that it is in. */
  readonly zone?: string | undefined;
}

/** The value of the record. */
export function writeNode({ acknowledges, zone = "" }: NodeRecord): Uint8Array {
  const value = new Uint8Array(1 + utf8Length(zone));
  value[0] = acknowledges ? NODE_ACKNOWLEDGES : 0;
  writeUtf8(zone, value, 1);
  return value;
}

/** Reads the record. `undefined` when it is malformed. */
export function readNode(value: Uint8Array): NodeRecord | undefined {
  const [flags] = value;
  if (flags === undefined || value.length > 1 + MAX_ZONE || !isUtf8(value, 1, value.length)) return undefined;
  const acknowledges = (flags & NODE_ACKNOWLEDGES) !== 0;
  return value.length === 1 ? { acknowledges } : { acknowledges, zone: readUtf8(value, 1, value.length) };
}
