/**
 * A small seeded world for one incident: nodes that know each other, and the events that they get, with their times.
 *
 * @module
 */

import type { MeshOptions, SyncEvent } from "../../../mod.ts";
import type { StormNode } from "./node.ts";
import type { StormWorld } from "./world.ts";

/** Added by the resolution of the clocks and the turns of an event loop, in milliseconds. */
const GRAIN = 5;
/** Pause between two rounds of gap events, in milliseconds. */
export const GAP_PAUSE = 100;

/** An event, and when it came, in milliseconds. */
export type Dated = SyncEvent & { readonly at: number };

/** A small world for one incident, whose nodes know each other. */
export class Stage {
  readonly world: StormWorld;
  /** Longest delay of a datagram, in milliseconds. */
  readonly pathDelay: number;
  readonly #got = new Map<StormNode, Dated[]>();
  readonly #check: (problem?: string) => void;

  constructor(world: StormWorld, pathDelay: number, check: (problem?: string) => void) {
    this.world = world;
    this.pathDelay = pathDelay;
    this.#check = check;
  }

  get now(): number {
    return this.world.now;
  }

  /** Time from the detection of a loss to the retransmission: some milliseconds and a few round trips. */
  get recovery(): number {
    return 60 + 8 * this.pathDelay + GRAIN;
  }

  advance(ms: number): Promise<void> {
    return this.world.network.clock.advance(ms);
  }

  /** Opens a node on a host of its own. */
  async open(options: MeshOptions = {}): Promise<StormNode> {
    const node = await this.world.open("extended", this.world.hosts++, { batchInterval: 0, ...options });
    const got: Dated[] = [];
    this.#got.set(node, got);
    node.mesh?.subscribe({ prefix: "" }, (event) => got.push({ ...event, at: this.now }));
    return node;
  }

  /** Opens several nodes, the first with options of its own, and waits until they know each other well. */
  async openAll(count: number, first: MeshOptions): Promise<StormNode[]> {
    const nodes = [await this.open(first)];
    while (nodes.length < count) nodes.push(await this.open());
    await this.advance(3 * this.world.plan.heartbeat + 8 * this.pathDelay);
    return nodes;
  }

  /** Publishes a key, and waits until it is accepted. */
  async publish(node: StormNode, key: string): Promise<number> {
    this.world.publishKey(node, key);
    await this.world.network.clock.runUntil(() => node.accepted.has(key), 60_000);
    return this.now;
  }

  /** When a node first got a key, or an event that covers it, after a time. */
  noticed(node: StormNode, key: string, since = 0): number | undefined {
    const events = this.#got.get(node) ?? [];
    return events.find((event) => event.at >= since && (event.key === key || event.cause !== "publish"))?.at;
  }

  /** The times of the gaps of a node's subscriber. */
  gaps(node: StormNode): number[] {
    return (this.#got.get(node) ?? []).filter(({ cause }) => cause === "gap").map(({ at }) => at);
  }

  /** Waits until a node has got a key, or an event that covers it: by a time. */
  async expect(what: string, node: StormNode, key: string, by: number): Promise<void> {
    while (this.noticed(node, key) === undefined && this.now < by) {
      await this.advance(Math.max(0.001, Math.min(by - this.now, 20)));
    }
    const at = this.noticed(node, key);
    if (at !== undefined && at <= by) return;
    this.fail(what, `node ${node.index} got ${key} at ${at} ms, and not by ${by.toFixed(1)} ms`);
  }

  fail(what: string, problem: string): void {
    this.#check(`P13: ${what}: ${problem}`);
  }
}
