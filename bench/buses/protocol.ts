/**
 * Bus protocol: the messages between a line and its processes.
 *
 * @module
 */

import type { BusName } from "./bus.ts";

/** Requests to a process that has one endpoint of a bus. */
export type NodeRequest =
  | {
    readonly type: "open";
    readonly bus: BusName;
    readonly listens: boolean;
    readonly targets: readonly string[];
    readonly server: number;
  }
  /** Answered when this endpoint and `others` further ones know of each other. */
  | { readonly type: "ready"; readonly others: number }
  /**
   * Forget the keys that have arrived. From now on keys are counted, or the time that each took is recorded, for at
   * most `keys` of them.
   */
  | { readonly type: "count" }
  | { readonly type: "time"; readonly keys: number }
  /** Publish as fast as the bus takes keys. */
  | { readonly type: "publish"; readonly ms: number }
  /** Publish `keys` keys, one each `interval` milliseconds, each with the time at which it was due. */
  | { readonly type: "pace"; readonly keys: number; readonly interval: number; readonly start: number }
  /** Answered when `keys` have arrived, or none has for `patience` milliseconds. */
  | { readonly type: "report"; readonly keys: number; readonly patience: number }
  | { readonly type: "close" };

/** Answers `open`. */
export interface Opened {
  readonly address: string;
}

/** Answers `publish` and `pace`. Times are by the machine clock, in milliseconds. */
export interface Published {
  readonly keys: number;
  readonly start: number;
  readonly end: number;
  /** Processor time of the process. */
  readonly cpuMs: number;
}

/** Answers `report`. */
export interface Arrived {
  /** Calls of the callback. */
  readonly received: number;
  /** When the last call was. */
  readonly last: number;
  /** Processor time of the process since it began to count. */
  readonly cpuMs: number;
  /** Quantiles of how long keys took that carried their time, in milliseconds; empty when they were counted. */
  readonly times: Readonly<Record<string, number>>;
}
