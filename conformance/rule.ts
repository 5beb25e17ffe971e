/**
 * Rule: one sentence of the semantics of `SyncBus`, and the check whether a bus keeps it.
 *
 * @module
 */

import type { SyncBus } from "../src/pubsub/sync_bus.ts";
import { Kit } from "./kit.ts";

/**
 * What a bus may lack, as its transport cannot carry it:
 *
 * - `acknowledgements`: `publishAndAwait` and `publishAndAwaitTopology` with more than 0. Without them both reject with
 *   a `QuorumUnsupportedError`.
 * - `metadata`: region, vector clock and scope of an event.
 * - `prefixes`: a published `{ prefix }`.
 * - `timeouts`: `timeout` and `settleTimeout`, which take a clock.
 */
export type Ability = "acknowledgements" | "metadata" | "prefixes" | "timeouts";

/** Where a replica is. */
export interface Place {
  /** Its zone, if it is in one. */
  readonly zone?: string | undefined;
  /** Its region, if it is in one. */
  readonly region?: string | undefined;
}

/** Replicas that a {@linkcode BusUnderTest} has opened. */
export interface OpenedBuses {
  /** The buses, in the order of the places. Each knows all others already. */
  readonly buses: readonly SyncBus[];
  /**
   * Lets a little time pass, in which datagrams arrive and timers fire. It is called until what a rule waits for is
   * there, at most 10,000 times, and never twice at a time. With a virtual clock it advances that by some milliseconds.
   *
   * @default {1 ms of real time}
   */
  readonly settle?: (() => Promise<void>) | undefined;
}

/** A bus that the rules are checked on. */
export interface BusUnderTest {
  /** Opens connected replicas, one for each place, which no other call is connected with. The rule closes them. */
  readonly open: (places: readonly Place[]) => Promise<OpenedBuses>;
  /**
   * What the bus lacks: rules that need it do not apply.
   *
   * @default {nothing}
   */
  readonly lacks?: readonly Ability[] | undefined;
  /**
   * The longest key without metadata, in bytes of UTF-8.
   *
   * @default {1366}
   */
  readonly longestKey?: number | undefined;
}

/** A rule that every bus keeps. */
export interface Rule {
  /** The rule in words. It identifies the rule. */
  readonly name: string;
  /** What a bus must be able to do for the rule to apply. */
  readonly needs: readonly Ability[];
  /** Checks the rule. Rejects with an `Error` that has the rule and the value in its message when it is broken. */
  readonly run: (bus: BusUnderTest) => Promise<void>;
}

/** Checks a rule on opened buses, one for each place of the rule. Throws when it is broken. */
export type Check = (kit: Kit, ...buses: SyncBus[]) => Promise<void>;

/** What a rule needs besides its check. */
export interface Terms {
  readonly needs?: readonly Ability[];
  /** The replicas that it opens: two without zone and region, unless given. */
  readonly places?: readonly Place[];
}

/** Makes a rule, which opens its buses and closes them at the end. */
export function rule(name: string, { needs = [], places = [{}, {}] }: Terms, check: Check): Rule {
  return {
    name,
    needs,
    async run(bus: BusUnderTest): Promise<void> {
      try {
        const { buses, settle } = await bus.open(places);
        if (buses.length !== places.length) {
          throw new Error(`the bus under test must open ${places.length} buses: current number is ${buses.length}`);
        }
        const kit = new Kit(buses, settle, bus.longestKey);
        try {
          await check(kit, ...buses);
        } catch (error) {
          // What broke the rule counts, not what that may do to closing.
          await kit.closeAll().catch(() => {});
          throw error;
        }
        await kit.closeAll();
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error);
        throw new Error(`The rule "${name}" is broken as ${message}`, { cause: error });
      }
    },
  };
}
