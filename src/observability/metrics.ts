/**
 * Metrics: the counters and gauges of a mesh.
 *
 * @module
 */

import type { Seeds } from "../discovery/seeds.ts";
import type { Membership } from "../membership/membership.ts";
import type { UnicastCopyBudget } from "../membership/unicast_copy_budget.ts";
import type { Receiver } from "../net/receiver.ts";
import type { TransmitQueue } from "../net/transmit_queue.ts";
import { withJson } from "../platform/json_numbers.ts";
import type { Batcher } from "../pubsub/batcher.ts";
import type { Dispatcher } from "../pubsub/dispatcher.ts";
import type { LossNotifier } from "../pubsub/loss_notifier.ts";
import type { Subscriptions } from "../pubsub/subscriptions.ts";
import type { Metrics } from "../pubsub/sync_bus.ts";
import type { Reliability } from "../reliability/reliability.ts";
import type { ErrorReporter } from "./error_reporter.ts";
import type { SlowCallbacks } from "./slow_callbacks.ts";

/** Counts since the mesh was opened. Fields that say `now` are gauges. */
export interface MeshMetrics extends Metrics {
  /**
   * Broadcasts sent, that is batches and rounds of heartbeats: sent to the group, or without multicast to at least one
   * peer.
   */
  readonly published: number;
  /** Datagrams received from other nodes, of every type. */
  readonly delivered: number;
  /** Keys accepted by `publish`, without those that were pending already. */
  readonly keysPublished: number;
  /** Keys received, whether or not anyone subscribes to them. */
  readonly keysReceived: number;
  /** Events for subscribers, including those that were merged or replaced by an overflow event. */
  readonly events: number;
  /** Events merged into an undelivered one of the same key, or of an overflow. */
  readonly merged: number;
  /** Events with the cause `"overflow"`: a prefix subscription was too slow, or `keysDropped` grew. */
  readonly overflows: number;
  /** Calls of a subscription's callback that took more than 5 ms. Single slow calls on a busy node may be left out. */
  readonly slowCallbacks: number;
  /**
   * Keys that were queued behind slow callbacks and dropped, with an event of the cause `"overflow"` or `"gap"` to all
   * subscriptions.
   */
  readonly keysDropped: number;
  /**
   * Batches of more than 8 keys that were not accepted because more than 32,768 keys were queued for callbacks. They
   * are requested again by NAK, and their publishers slow down.
   */
  readonly batchesDeferred: number;
  /** Datagrams that are not part of the protocol: too short, over 2,048 bytes, or with another first byte. */
  readonly decodeErrors: number;
  /** Keys left out because they were not UTF-8. */
  readonly invalidKeys: number;
  /** Batches with metadata that could not be read. Their keys were delivered without it. */
  readonly invalidMetadata: number;
  /** Prefixes published while Go nodes were peers, which cannot hear them, without `goKeys`. */
  readonly prefixesUnheard: number;
  /** Datagrams of a type that this version does not know. They are ignored. */
  readonly unknownTypes: number;
  /** Failed sends of a datagram to one destination. */
  readonly sendErrors: number;
  /** Failed receives of a socket. */
  readonly receiveErrors: number;
  /** Times that a callback of a subscription, or a listener of `mesh.events`, threw or rejected. */
  readonly callbackErrors: number;
  /** Failed look-ups of a seed. */
  readonly resolveErrors: number;
  /** DNS answers, and lists of `discover`, that were truncated because they were too long. */
  readonly seedsTruncated: number;
  /** Addresses and records of DNS answers, and items of such lists, left out because they cannot be a seed. */
  readonly seedsUnusable: number;
  /**
   * Heartbeats refused: of new nodes while `maxPeers` were known, or with no port at which the sender can be reached.
   */
  readonly peersRefused: number;
  /**
   * Unicast copies of batches to Go nodes that were not sent, because they exceeded the budget: 256 a second for all
   * nodes together that were heard for less than three heartbeats, 10,000 for the others.
   */
  readonly copiesRefused: number;
  /** Addresses received by peer exchange that were not probed, because there were too many. */
  readonly probesRefused: number;
  /**
   * Batches dropped because they had arrived before: copies by multicast and unicast, and retransmissions that came
   * twice.
   */
  readonly duplicates: number;
  /**
   * Datagrams of peers that were missing and requested by NAK. One that arrives late, before the NAK is sent, does not
   * count.
   */
  readonly missing: number;
  /** Missing datagrams that have arrived. */
  readonly recovered: number;
  /** Gaps: times that missing datagrams of a node could not be recovered. */
  readonly gaps: number;
  /** NAKs sent. */
  readonly naksSent: number;
  /** NAKs received. */
  readonly naksReceived: number;
  /** NAKs refused: without a validated path to the requester, or beyond the rate limit. */
  readonly naksRefused: number;
  /** Datagrams retransmitted. */
  readonly retransmitsSent: number;
  /** Delivery acknowledgements sent. */
  readonly acksSent: number;
  /** Delivery acknowledgements received. */
  readonly acksReceived: number;
  /**
   * Delivery acknowledgements ignored, and batches in them: of nodes that are no peers, without the token that shows
   * who sends them, with too few outcomes, and of batches that nobody awaits (any more).
   */
  readonly acksIgnored: number;
  /** Datagrams dropped because their extension block was malformed, or lacked a record that their type requires. */
  readonly malformedExtensions: number;
  /**
   * Datagrams a second that the node may send now: losses reported by peers lower it, their absence raises it.
   * `Infinity` with `wire: "go-warp"`, which JSON has as 9007199254740991.
   */
  readonly sendRate: number;
  /**
   * Largest batch now, in bytes: 1,400, or less when the path to a peer does not carry that. A single long key may
   * exceed it.
   */
  readonly batchLimit: number;
  /** Bytes of sent datagrams retained for retransmission now. */
  readonly retainedBytes: number;
  /** Keys received and queued for slow callbacks now. */
  readonly backlog: number;
  /** Peers known now: nodes with a validated path, and those that speak go-warp's wire format only. */
  readonly peers: number;
  /** Keys accepted and not yet sent now. */
  readonly pending: number;
  /** Calls of `publishAndAwait` and `publishAndAwaitTopology` that wait for acknowledgements now. */
  readonly awaiting: number;
  /** Calls of `publish` that wait for room now. */
  readonly waiting: number;
}

/** The parts of a node that keep counters. */
export interface MeshParts {
  readonly subscriptions: Subscriptions;
  readonly transmitQueue: TransmitQueue;
  readonly receiver: Receiver;
  readonly batcher: Batcher;
  readonly errorReporter: ErrorReporter;
  readonly seeds: Seeds;
  readonly membership: Membership;
  readonly copies: UnicastCopyBudget;
  readonly losses: LossNotifier;
  readonly dispatcher: Dispatcher;
  readonly slowCallbacks: SlowCallbacks;
  readonly reliability: Reliability | undefined;
}

/** Collects the counters. */
export function collectMetrics(parts: MeshParts, prefixesUnheard: number): MeshMetrics {
  const {
    subscriptions,
    transmitQueue,
    receiver,
    batcher,
    errorReporter,
    seeds,
    membership,
    copies,
    losses,
    reliability,
  } = parts;
  const { dispatcher, slowCallbacks } = parts;
  const { events, merged, overflows } = subscriptions.counts;
  const { truncated, unusable } = seeds.counts;
  const { acksReceived, awaitedBatches, deliveryAcks, naks, pacer, receiveStreams, retransmitBuffer, sendStream } =
    reliability ?? {};
  const metrics = {
    published: transmitQueue.broadcasts,
    delivered: receiver.delivered,
    keysPublished: batcher.accepted,
    keysReceived: receiver.keys,
    events,
    merged,
    overflows,
    slowCallbacks: slowCallbacks.count,
    keysDropped: dispatcher.dropped,
    batchesDeferred: receiver.deferred,
    decodeErrors: receiver.decodeErrors,
    invalidKeys: receiver.invalidKeys,
    invalidMetadata: receiver.invalidMetadata,
    prefixesUnheard,
    unknownTypes: receiver.unknownTypes,
    sendErrors: errorReporter.count("send"),
    receiveErrors: errorReporter.count("receive"),
    callbackErrors: errorReporter.count("callback"),
    resolveErrors: errorReporter.count("resolve"),
    seedsTruncated: truncated,
    seedsUnusable: unusable,
    peersRefused: membership.refused,
    copiesRefused: copies.refused,
    probesRefused: membership.probesRefused,
    duplicates: receiveStreams?.duplicates ?? 0,
    missing: receiveStreams?.missing ?? 0,
    recovered: receiveStreams?.recovered ?? 0,
    gaps: losses.gapCount,
    naksSent: naks?.sent ?? 0,
    naksReceived: sendStream?.naksReceived ?? 0,
    naksRefused: sendStream?.naksRefused ?? 0,
    retransmitsSent: sendStream?.retransmitsSent ?? 0,
    acksSent: deliveryAcks?.sent ?? 0,
    acksReceived: acksReceived ?? 0,
    acksIgnored: (sendStream?.acksRefused ?? 0) + (awaitedBatches?.unawaited ?? 0),
    malformedExtensions: receiver.malformedExtensions,
    sendRate: pacer?.rate ?? Infinity,
    batchLimit: batcher.limit,
    retainedBytes: retransmitBuffer?.bytes ?? 0,
    backlog: dispatcher.waiting,
    peers: membership.peers.joined().length,
    pending: batcher.pending,
    awaiting: awaitedBatches?.size ?? 0,
    waiting: batcher.waiting,
  };
  return metrics.sendRate === Infinity ? withJson(metrics) : metrics;
}
