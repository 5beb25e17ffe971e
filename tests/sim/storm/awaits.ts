/**
 * Awaits: publishes of a seeded world that are awaited, and tokens that are carried from node to node.
 *
 * - P23: an awaited publish is confirmed only by nodes that have handed the event to all their callbacks, or have none
 *   for it; by as many as were required, each once; it settles once and in time, and nothing of it is left.
 * - P24: `reached` resolves only when everything that the token stands for has come, or is covered by a gap.
 *
 * What they do is drawn from a random source of their own, so that they change as little as possible in the world of a
 * seed.
 *
 * @module
 */

import { SeededRandom } from "../../../adapters/memory.ts";
import {
  ClosedError,
  type Outcome,
  type PublishResult,
  QuorumNotSatisfiedError,
  QuorumUnsupportedError,
  TokenError,
  type Topic,
} from "../../../mod.ts";
import { coverExcuse } from "./checks.ts";
import type { StormNode, StormSubscription } from "./node.ts";
import { pick } from "./plan.ts";
import type { StormWorld } from "./world.ts";

/** Zones of nodes: some are in none. */
const ZONES = ["a", "b", "c"];
/** Longest turn of an event loop that delays a timer without a stall of the node, in milliseconds. */
const SLACK = 5;

/** More than a rejection takes to get through all promises. */
const MICROTASKS = 20;

/** A publish that is awaited. */
interface Await {
  readonly node: StormNode;
  readonly topic: Topic;
  readonly order: number;
  /** When it has to be settled, in milliseconds. */
  readonly due: number;
  settledAt: number | undefined;
}

/** What a node had accepted by a moment. */
interface Stand {
  readonly node: StormNode;
  readonly order: number;
  /** Whether another node has had the id that the token names. */
  readonly hasTwin: boolean;
}

/** A token, and what was accepted on its node by then. */
interface Token {
  readonly text: string;
  readonly stands: readonly Stand[];
}

/** Counts of what the awaits of a world came to. */
export interface AwaitCounts {
  confirmed: number;
  refused: number;
  reached: number;
  unreached: number;
}

/** The awaited publishes and tokens of a world. */
export class StormAwaits {
  readonly counts: AwaitCounts = { confirmed: 0, refused: 0, reached: 0, unreached: 0 };
  readonly #world: StormWorld;
  readonly #random: SeededRandom;
  readonly #awaits: Await[] = [];
  #tokens: Token[] = [];
  #waits = 0;
  #serial = 0;

  constructor(world: StormWorld) {
    this.#world = world;
    this.#random = new SeededRandom(world.plan.seed + 2 ** 43);
  }

  /** The zone of the next node. */
  zone(): string | undefined {
    return this.#random.chance(0.7) ? pick(this.#random, ZONES) : undefined;
  }

  /** Publishes something and awaits it, or takes a token, or waits for one. */
  play(): void {
    const nodes = this.#world.up().filter(({ kind, mesh }) => kind === "extended" && mesh !== undefined);
    if (nodes.length === 0) return;
    const node = pick(this.#random, nodes);
    const drawn = this.#random.next();
    if (drawn < 0.4) this.#publish(node);
    else if (drawn < 0.6) this.#take(node);
    else this.#reach(node);
  }

  /** What is wrong: an await that is not settled in time. Those of nodes that have ended need not settle. */
  problem(): string | undefined {
    const { now } = this.#world;
    for (const { node, due, order, settledAt, topic } of this.#awaits) {
      // While its machine is suspended the clock of a node stops.
      const hasSlept = node.awakeSince > order;
      const isLate = settledAt === undefined && now > Math.max(due, node.wokeAt) + SLACK && !hasSlept;
      if (isLate && node.isUp && node.longestStall !== Infinity) {
        return `P23: node ${node.index} still awaits ${JSON.stringify(topic)}, which was due at ${due} ms`;
      }
    }
    return undefined;
  }

  /** What is left when nothing has happened for long. */
  restProblem(): string | undefined {
    for (const { index, mesh, state } of this.#world.nodes) {
      const { awaiting = 0 } = state === "running" ? mesh?.metrics() ?? {} : {};
      const open = this.#awaits.filter(({ node, settledAt }) => node.index === index && settledAt === undefined);
      if (awaiting > open.length) return `P23: node ${index} awaits ${awaiting} publishes, and ${open.length} are open`;
    }
    return undefined;
  }

  #publish(node: StormNode): void {
    const random = this.#random;
    const world = this.#world;
    const topic = this.#topic(node);
    const timeout = Math.round(random.between(50, 4000));
    const ender = random.chance(0.1) ? new AbortController() : undefined;
    const reason = new Error("enough");
    if (ender !== undefined) world.later(random.between(0, 300), true, () => ender.abort(reason));
    const before = typeof topic === "string"
      ? node.calls.get(topic) ?? { count: 0, order: 0 }
      : { count: 0, order: node.prefixCalls.get(topic.prefix) ?? 0 };
    const order = world.published(node, topic);
    // A refusal at once comes before anything else happens.
    let isAtOnce = true;
    void microtasks(MICROTASKS).then(() => isAtOnce = false);
    const options = {
      timeout,
      ...ender && { signal: ender.signal },
      ...random.chance(0.2) && { vectorClock: { [`w${random.below(3)}`]: ++this.#serial } },
    };
    const byZone = random.chance(0.3);
    const count = random.below(4);
    const replicas = random.chance(0.4) ? "all" : count;
    // That is a publish like any other, which waits for room without a limit.
    const isPlain = count === 0 && (byZone || replicas !== "all");
    const peers = this.#peersOf(node);
    const running = byZone
      ? node.mesh?.publishAndAwaitTopology(topic, count, options)
      : node.mesh?.publishAndAwait(topic, replicas, options);
    const entry: Await = { node, topic, order, due: isPlain ? Infinity : world.now + timeout, settledAt: undefined };
    this.#awaits.push(entry);
    const settle = (call: () => string | undefined) => {
      if (entry.settledAt !== undefined) world.problems.push(`P23: an await of node ${node.index} has settled twice`);
      entry.settledAt = world.now;
      const problem = node.state === "crashed" ? undefined : call();
      if (problem !== undefined) world.problems.push(`P23: node ${node.index}, ${JSON.stringify(topic)}: ${problem}`);
    };
    world.note(() =>
      `${node.index} awaits ${JSON.stringify(topic)} by ${byZone ? `${count} zones` : replicas}, ${timeout} ms`
    );
    running?.then(
      (result) => settle(() => this.#confirmed(entry, result, byZone ? { zones: count } : { replicas }, peers)),
      (error) => {
        const isShort = error instanceof QuorumUnsupportedError || error instanceof QuorumNotSatisfiedError;
        if (isShort && isAtOnce) world.unpublished(node, topic, before);
        settle(() => this.#refused(error, reason));
      },
    );
  }

  #topic(node: StormNode): Topic {
    const random = this.#random;
    const drawn = random.next();
    if (drawn < 0.2) return { prefix: random.chance(0.5) ? `${node.index}:` : `${node.index}:a${random.below(3)}` };
    if (drawn < 0.25) return { prefix: "shared:" };
    return drawn < 0.5 ? `shared:${random.below(10)}` : `${node.index}:a${this.#serial++}`;
  }

  #peersOf(node: StormNode): readonly StormNode[] {
    return this.#world.nodes.filter(({ kind, nodeId, state }) =>
      kind === "extended" && state === "running" && node.metAt.has(nodeId) && !node.partings.has(nodeId) &&
      !node.metAsPlain.has(nodeId)
    );
  }

  #confirmed(
    { node, order, topic }: Await,
    { acknowledgements }: PublishResult,
    { replicas, zones }: { readonly replicas?: number | "all"; readonly zones?: number },
    peers: readonly StormNode[],
  ): string | undefined {
    const world = this.#world;
    this.counts.confirmed++;
    const ids = acknowledgements.map((each) => each.node);
    if (new Set(ids).size < ids.length) return "a node has acknowledged twice";
    const counted = acknowledgements.filter(({ outcome }) => outcome !== "failed");
    for (const { node: id, outcome, zone } of counted) {
      // Clones have one id for a while, and one of them is taken to be in the zone of the other.
      const named = world.nodes.filter((other) => other !== node && (other.nodeId === id || other.formerIds.has(id)));
      const problems = named.map((other) =>
        deliveryProblem(other, topic, order, outcome, named.length > 1 ? other.zone : zone)
      );
      if (named.length === 0) return `it is confirmed by ${id}, which is no other node`;
      if (problems.includes(undefined)) continue;
      return `confirmed by node ${named[0]?.index}, which is ${named[0]?.state}: ${problems[0]}`;
    }
    if (typeof replicas === "number" && counted.length < replicas) {
      return `it is confirmed by ${counted.length} of ${replicas}`;
    }
    if (zones !== undefined) {
      const distinct = new Set(counted.map(({ zone }) => zone));
      for (const none of [undefined, node.zone]) distinct.delete(none);
      if (distinct.size < zones) return `it is confirmed in ${distinct.size} of ${zones} zones`;
    }
    if (replicas !== "all") return undefined;
    const missing = peers.find(({ nodeId, formerIds }) => {
      const hasAnswered = ids.includes(nodeId) || ids.some((id) => formerIds.has(id));
      return !hasAnswered && node.partings.get(nodeId)?.reason !== "left";
    });
    // A peer of which only heartbeats without their extension had come was none that can acknowledge.
    if (missing === undefined || world.plan.troubles.has("truncate") || world.plan.maxPeers !== undefined) {
      return undefined;
    }
    return `it is confirmed without node ${missing.index}, which was a peer and has not left`;
  }

  #refused(error: unknown, reason: Error): string | undefined {
    this.counts.refused++;
    const isKnown = error instanceof QuorumNotSatisfiedError || error instanceof QuorumUnsupportedError ||
      error instanceof ClosedError || error === reason;
    return isKnown ? undefined : `it is refused by ${error}`;
  }

  #take(node: StormNode): void {
    const random = this.#random;
    const earlier = this.#tokens.length > 0 && random.chance(0.3) ? pick(random, this.#tokens) : undefined;
    const text = node.mesh?.token(earlier?.text) ?? "";
    const { nodeId } = node;
    const hasTwin = this.#world.nodes.some((other) =>
      other !== node && (other.nodeId === nodeId || other.formerIds.has(nodeId))
    );
    const stands = [{ node, order: this.#world.moment(), hasTwin }, ...earlier?.stands ?? []];
    // It stands for 8 nodes at most.
    this.#tokens.push({ text, stands: stands.slice(0, 8) });
    if (this.#tokens.length > 10) this.#tokens.shift();
  }

  #reach(node: StormNode): void {
    const random = this.#random;
    if (this.#tokens.length === 0) return;
    const token = pick(random, this.#tokens);
    const timeout = Math.round(random.between(0, 3000));
    this.#waits++;
    this.#world.note(() => `${node.index} waits for a token of ${token.stands.map((each) => each.node.index)}`);
    node.mesh?.reached(token.text, { timeout }).then(() => {
      this.counts.reached++;
      if (node.state === "crashed") return;
      const problem = this.#reachProblem(node, token);
      if (problem !== undefined) this.#world.problems.push(`P24: node ${node.index}: ${problem}`);
    }, (error) => {
      this.counts.unreached++;
      if (error instanceof TokenError || error instanceof ClosedError) return;
      this.#world.problems.push(`P24: node ${node.index}: ${error}`);
    });
  }

  #reachProblem(receiver: StormNode, { stands }: Token): string | undefined {
    const world = this.#world;
    for (const { node: publisher, order, hasTwin } of stands) {
      if (publisher === receiver) continue;
      for (const [key, accepted] of publisher.accepted) {
        if (accepted > order) continue;
        for (const subscription of receiver.subscriptions) {
          const isOwed = subscription.isCallback && subscription.covers(key) && subscription.openedAt < accepted;
          if (!isOwed || subscription.hasSince(key, accepted)) continue;
          const excuse = coverExcuse(world, publisher, receiver, accepted) ?? (hasTwin ? "one id" : undefined);
          if (excuse === undefined) {
            return `it has reached a token of node ${publisher.index}, ${publisher.state}, without ${
              JSON.stringify(key.slice(0, 40))
            }`;
          }
          world.excuses.use(excuse);
        }
      }
    }
    return undefined;
  }
}

/** Why a node may not say that it has delivered an event that was published at a moment. */
function deliveryProblem(
  { subscriptions, zone: ownZone }: StormNode,
  topic: Topic,
  order: number,
  outcome: Outcome,
  zone: string | undefined,
): string | undefined {
  if (zone !== ownZone) return `its zone is ${ownZone}, and it acknowledges in ${zone}`;
  const concerned = subscriptions.filter((each) => each.openedAt < order && each.overlaps(topic));
  if (outcome === "unsubscribed") {
    return concerned.length === 0 ? undefined : `it has a subscriber, and says that it has none`;
  }
  const without = concerned.find((each) => each.isCallback && !hasHad(each, topic, order));
  return without && `a subscriber to ${JSON.stringify(without.topic)} has not got it`;
}

function hasHad(subscription: StormSubscription, topic: Topic, order: number): boolean {
  return typeof topic === "string"
    ? subscription.hasSince(topic, order)
    : subscription.hasPrefixSince(topic.prefix, order);
}

async function microtasks(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await undefined;
}
