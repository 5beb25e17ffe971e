import type { BusName } from "./bus.ts";

/** What a group asks a process that has one end of a bus. */
export type NodeRequest =
  | {
    readonly type: "open";
    readonly bus: BusName;
    readonly listens: boolean;
    readonly targets: readonly string[];
    readonly server: number;
  }
  /** Answered when this end and so many others know of each other. */
  | { readonly type: "ready"; readonly others: number }
  /** Forget what has come. Keys are counted from now on, or the time that each took is kept, of so many at most. */
  | { readonly type: "count" }
  | { readonly type: "time"; readonly keys: number }
  /** Publish as fast as the bus takes it. */
  | { readonly type: "publish"; readonly ms: number }
  /** Publish so many keys, each with the time at which it was due, one each `interval` milliseconds. */
  | { readonly type: "pace"; readonly keys: number; readonly interval: number; readonly start: number }
  /** Answered when so many have come, or nothing has for `patience` milliseconds. */
  | { readonly type: "report"; readonly keys: number; readonly patience: number }
  | { readonly type: "close" };

/** Answers `open`. */
export interface Opened {
  readonly address: string;
}

/** Answers `publish` and `pace`. Times are those of all processes of the machine, in milliseconds. */
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
  /** When the last one was. */
  readonly last: number;
  /** Processor time of the process since it began to count. */
  readonly cpuMs: number;
  /** How long keys took that carried their time, in milliseconds; empty when they were counted. */
  readonly times: Readonly<Record<string, number>>;
}
