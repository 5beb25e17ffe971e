/**
 * The counters of a mesh.
 *
 * @module
 */

import type { Seeds } from "../discovery/seeds.ts";
import type { CopyBudget } from "../membership/copy_budget.ts";
import type { Membership } from "../membership/membership.ts";
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

/** Counts since the mesh was opened, and gauges, which say `now`. */
export interface MeshMetrics extends Metrics {
  /** Batches and rounds of heartbeats: taken by the group, or without multicast by at least one peer. */
  readonly published: number;
  /** Datagrams of other nodes that were read, of every type. */
  readonly delivered: number;
  /** Keys that were accepted by `publish`, without those that were pending already. */
  readonly keysPublished: number;
  /** Keys that have arrived, whether or not anyone subscribes to them. */
  readonly keysReceived: number;
  /** Events that subscribers were to get, those that were merged or gave way to an overflow event included. */
  readonly events: number;
  /** Events merged into one of the same key, or of an overflow, that was not yet delivered. */
  readonly merged: number;
  /** Events with the cause `"overflow"`: a prefix subscription was too slow, or `keysDropped` grew. */
  readonly overflows: number;
  /** Calls of a subscription's callback that took more than 5 ms. Those of a busy node that come alone may be left out. */
  readonly slowCallbacks: number;
  /** Keys that waited for slow callbacks and gave way to an event with the cause `"overflow"` or `"gap"` for everybody. */
  readonly keysDropped: number;
  /**
   * Batches of more than 8 keys that were not taken, as more than 32,768 keys waited for callbacks. They are asked for again, and their
   * publishers slow down.
   */
  readonly batchesDeferred: number;
  /** Datagrams that were none: too short, over 2,048 bytes, or with another first byte. */
  readonly decodeErrors: number;
  /** Keys left out as they were not UTF-8. */
  readonly invalidKeys: number;
  /** Datagrams of a type that this version does not know. They are ignored. */
  readonly unknownTypes: number;
  /** Datagrams that could not be sent to one destination. */
  readonly sendErrors: number;
  /** Times that a socket could not receive. */
  readonly receiveErrors: number;
  /** Times that a callback of a subscription, or a listener of `mesh.events`, threw or rejected. */
  readonly callbackErrors: number;
  /** Times that a seed could not be looked up. */
  readonly resolveErrors: number;
  /** Answers of the resolver, and lists of `discover`, of which a part was left out as they were too long. */
  readonly seedsTruncated: number;
  /** Addresses and records of such answers, and items of such lists, left out as they can be no seed. */
  readonly seedsUnusable: number;
  /** Heartbeats turned away: of newcomers when `maxPeers` were known, or with no port to reach the sender at. */
  readonly peersRefused: number;
  /**
   * Copies of batches to Go nodes that were not sent, as they were beyond their share: 256 a second for all together that
   * were heard for less than three heartbeats, 10,000 for the others.
   */
  readonly copiesRefused: number;
  /** Addresses that other nodes have told of and that were not asked, as too many were. */
  readonly probesRefused: number;
  /** Batches dropped as they had arrived before: copies by multicast and unicast, and repairs that came twice. */
  readonly duplicates: number;
  /** Datagrams of others that were missing, and asked for. What comes late, before it is asked for, does not count. */
  readonly missing: number;
  /** Those of the missing ones that have come. */
  readonly recovered: number;
  /** Gaps: times that datagrams of a node could not be had. */
  readonly gaps: number;
  /** Requests for repair that were sent. */
  readonly naksSent: number;
  /** Requests for repair that have come. */
  readonly naksReceived: number;
  /** Requests for repair not granted: without proof of the asker's address, or too many a second. */
  readonly naksRefused: number;
  /** Datagrams sent again. */
  readonly retransmitsSent: number;
  /** Datagrams dropped as their extension block was malformed, or lacked what their type needs. */
  readonly malformedExtensions: number;
  /**
   * Datagrams a second that the node may send now: congestion lowers it, its absence raises it. `Infinity` with
   * `wire: "go-warp"`, which JSON has as 9007199254740991.
   */
  readonly sendRate: number;
  /** Longest batch, in bytes: 1,400, or less when the path to a peer does not carry that. Single keys may be longer. */
  readonly batchLimit: number;
  /** Bytes of sent datagrams held for repair now. */
  readonly retainedBytes: number;
  /** Keys that have arrived and wait for slow callbacks now. */
  readonly backlog: number;
  /** Peers known now: nodes that have answered, and those that speak the original's wire only. */
  readonly peers: number;
  /** Keys accepted and not yet sent now. */
  readonly pending: number;
  /** Calls of `publish` that wait for room now. */
  readonly waiting: number;
}

/** The parts of a node that count. */
export interface MeshParts {
  readonly subscriptions: Subscriptions;
  readonly transmitQueue: TransmitQueue;
  readonly receiver: Receiver;
  readonly batcher: Batcher;
  readonly errorReporter: ErrorReporter;
  readonly seeds: Seeds;
  readonly membership: Membership;
  readonly copies: CopyBudget;
  readonly losses: LossNotifier;
  readonly dispatcher: Dispatcher;
  readonly slowCallbacks: SlowCallbacks;
  readonly reliability: Reliability | undefined;
}

/** What they have counted. */
export function collectMetrics(parts: MeshParts): MeshMetrics {
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
  const { sendStream: own, receiveStreams: streams, naks: requests, retransmitBuffer: ring, pacer } = reliability ?? {};
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
    duplicates: streams?.duplicates ?? 0,
    missing: streams?.missing ?? 0,
    recovered: streams?.recovered ?? 0,
    gaps: losses.gapCount,
    naksSent: requests?.sent ?? 0,
    naksReceived: own?.naksReceived ?? 0,
    naksRefused: own?.naksRefused ?? 0,
    retransmitsSent: own?.retransmitsSent ?? 0,
    malformedExtensions: receiver.malformedExtensions,
    sendRate: pacer?.rate ?? Infinity,
    batchLimit: batcher.limit,
    retainedBytes: ring?.bytes ?? 0,
    backlog: dispatcher.waiting,
    peers: membership.peers.joined().length,
    pending: batcher.pending,
    waiting: batcher.waiting,
  };
  return metrics.sendRate === Infinity ? withJson(metrics) : metrics;
}
