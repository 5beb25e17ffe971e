/** How keys are counted where they arrive; `bare` is datagrams on a bare socket. */
export type How = "prefix" | "exact" | "bare";

/** What the sending process of `throughput.ts` asks the receiving one. */
export type ReceiverRequest =
  | { readonly type: "welcome" }
  /** Forget what has come, and count from now on. */
  | { readonly type: "start"; readonly how: How }
  /** Tell when so many keys have come, or nothing comes any more. */
  | { readonly type: "report"; readonly keys: number };

/** Where the receiving process is reached. */
export interface ReceiverWelcome {
  readonly mesh: string;
  /** The port of the mesh. */
  readonly port: number;
  readonly bare: number;
}

/** What has come since the start. */
export interface ReceiverReport {
  /** Keys, or datagrams on the bare socket. */
  readonly received: number;
  /** From the first to the last. */
  readonly ms: number;
  /** Processor time of the whole process. */
  readonly cpuMs: number;
  /** Datagrams of the mesh that were missing for a time, or for good. */
  readonly missing: number;
}

/** Different keys that are published over and over, in order. */
export const KEY_POOL = 100_000;
