/**
 * Late copies: datagrams that arrive once more, long after the others.
 *
 * @module
 */

import type { Arrive, StormNode } from "./node.ts";
import { pick } from "./plan.ts";
import { senderNumber, senderOf } from "./wire.ts";
import type { StormWorld } from "./world.ts";

/** Most copies that are kept. There are enough for each phase of a node's life. */
const KEPT = 40;
/** Share of the arriving datagrams that is kept; it is higher where few arrive. */
const CHANCE = { storm: 0.05, quiet: 0.5 };

interface Copy {
  readonly node: StormNode;
  readonly data: Uint8Array;
  readonly host: string;
  readonly port: number;
  readonly arrive: Arrive;
}

/** Keeps some of the datagrams that arrive in a world, and lets them arrive again. */
export class LateCopies {
  readonly #world: StormWorld;
  readonly #copies: Copy[] = [];
  /** When a node last got a copy of another's datagram, in milliseconds, by the number of the sender. */
  readonly #played = new Map<StormNode, Map<number, number>>();

  constructor(world: StormWorld) {
    this.#world = world;
  }

  /** Takes note of a datagram that arrives at a node: it may arrive again. */
  keep(node: StormNode, data: Uint8Array, host: string, port: number, arrive: Arrive): void {
    const { random, plan } = this.#world;
    if (this.#copies.length >= KEPT && !random.chance(0.2)) return;
    if (!random.chance(plan.kind === "quiet" ? CHANCE.quiet : CHANCE.storm)) return;
    const copy = { node, data: data.slice(), host, port, arrive };
    if (this.#copies.length < KEPT) this.#copies.push(copy);
    else this.#copies[random.below(KEPT)] = copy;
  }

  /** Lets a kept datagram arrive again: mostly one of a departed node, if there is one. */
  play(): void {
    const { random, network: { clock }, nodes } = this.#world;
    const here = this.#copies.filter(({ node }) => node.isUp);
    const departed = here.filter(({ data }) => nodes.find(({ id }) => id === senderOf(data))?.state !== "running");
    const choices = departed.length > 0 && random.chance(0.7) ? departed : here;
    if (choices.length === 0) return;
    const { node, data, host, port, arrive } = pick(random, choices);
    this.#world.note(() => `${node.index} gets type ${data[1]} of ${host} once more`);
    clock.setTimer(() => {
      if (!node.isUp) return;
      const played = this.#played.get(node) ?? new Map<number, number>();
      this.#played.set(node, played.set(senderOf(data), clock.now()));
      arrive(data.slice(), host, port);
    }, 0);
  }

  /** When a node last got a copy of another's datagram, in milliseconds. */
  playedAt(node: StormNode, sender: number): number {
    return this.#played.get(node)?.get(sender) ?? -Infinity;
  }
}

/** Describes a gap of a peer that has departed, with nothing new heard of it since the last gap; else `undefined`. */
export function partingProblem(node: StormNode, id: string, now: number): string | undefined {
  const parting = node.partings.get(id);
  if (parting === undefined) return undefined;
  const { reason, at } = parting;
  const upTo = node.heard.get(senderNumber(id))?.known ?? 0;
  const isNews = parting.gaps++ === 0 || upTo > parting.upTo;
  parting.upTo = upTo;
  if (reason === "left" && now > at) return `it had left at ${at} ms`;
  return isNews ? undefined : `it was lost, with a gap, at ${at} ms`;
}
