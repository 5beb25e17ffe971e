/**
 * Mutants of awaits: breakages of acknowledgements, published prefixes, metadata and tokens.
 *
 * @module
 */

import { judgedBy, type Mutant } from "./mutant.ts";

/** Breakages of what is awaited and of what events carry. */
export const AWAITS: readonly Mutant[] = judgedBy("awaits", [
  // The node that acknowledges.
  {
    name: "keys that wait for slow callbacks count as delivered",
    file: "src/pubsub/dispatcher.ts",
    find: "this.#append(this.#begunAt, Math.min(this.#begunAt, this.#since), false, arrival, 0).count++;",
    replace:
      "arrival.receipt?.end(); this.#append(this.#begunAt, Math.min(this.#begunAt, this.#since), false, { ...arrival, receipt: undefined }, 0).count++;",
  },
  {
    name: "dropped keys count as delivered before the event for all subscriptions",
    file: "src/pubsub/dispatcher.ts",
    find: "        this.#covered.push(coverOf(chunk.keys.receipt));\n",
    replace: "        coverOf(chunk.keys.receipt)();\n",
  },
  {
    name: "dropped keys are never acknowledged",
    file: "src/pubsub/dispatcher.ts",
    find: "    for (const call of covered) call();\n",
    replace: "",
  },
  {
    name: "a key counts as delivered when its first subscriber has it",
    file: "src/pubsub/dispatcher.ts",
    find: "      this.#receipt = receipt;\n      return;\n    }\n    if (taken > 0)",
    replace: "      receipt?.end();\n      return;\n    }\n    if (taken > 0)",
  },
  {
    name: "an event whose callback threw counts as delivered",
    file: "src/pubsub/subscriber.ts",
    find: "    receipt.fail();\n",
    replace: "",
  },
  {
    name: "the promise of a callback is not waited for",
    file: "src/pubsub/subscriber.ts",
    find: "if (settleTimeout !== undefined) receipt.wait",
    replace: "if (settleTimeout === Infinity) receipt.wait",
  },
  {
    name: "a callback that rejects counts as delivered",
    file: "src/pubsub/delivery_receipt.ts",
    find: "      if (!isFulfilled) this.fail();\n",
    replace: "",
  },
  {
    name: "the promise of a callback is waited for without limit",
    file: "src/pubsub/delivery_receipt.ts",
    find: "this.#clock?.setTimer(() => end(false), timeout)",
    replace: "this.#clock?.setTimer(() => {}, timeout)",
  },
  {
    name: "a promise that has settled leaves its timer",
    file: "src/pubsub/delivery_receipt.ts",
    find: "      timer?.cancel();\n",
    replace: "",
  },
  {
    name: "one slow callback holds up all acknowledgements of its batch",
    file: "src/pubsub/delivery_receipt.ts",
    find: "this.#onReport(this.#waits > 0 ? undefined : this.#outcome, false);",
    replace: "if (this.#waits === 0) this.#onReport(this.#outcome, false);",
  },
  {
    name: "a node without a subscriber says that it has delivered",
    file: "src/pubsub/delivery_receipt.ts",
    find: 'this.#isTaken ? "delivered" : "unsubscribed"',
    replace: '"delivered"',
  },
  {
    name: "a request that is repeated is not acknowledged again",
    file: "src/reliability/delivery_acks.ts",
    find: "if (known.outcomes !== undefined && isAgain) {",
    replace: "if (known.outcomes !== undefined && isAgain && number < 0) {",
  },
  {
    name: "a batch whose request is repeated is delivered again",
    file: "src/reliability/delivery_acks.ts",
    find: "    return false;\n  }\n\n  /** Sends nothing any more. */",
    replace: "    return isAgain;\n  }\n\n  /** Sends nothing any more. */",
  },
  {
    name: "another batch with the number of an earlier one is acknowledged",
    file: "src/reliability/delivery_acks.ts",
    find: "if (known.fingerprint !== fingerprint) return isNew;",
    replace: "",
  },
  {
    name: "a node whose path is not validated gets acknowledgements",
    file: "src/reliability/delivery_acks.ts",
    find: "this.#isClosed || this.#config.peers().get(stream.id)?.isValidated !== true",
    replace: "this.#isClosed",
  },
  {
    name: "outcomes are remembered for ever",
    file: "src/reliability/delivery_acks.ts",
    find: "byNumber.delete(oldest);",
    replace: "void oldest;",
  },
  {
    name: "each acknowledgement has a packet of its own",
    file: "src/reliability/delivery_acks.ts",
    find: "if (clock.now() - this.#sentAt >= IMMEDIATE_INTERVAL) this.#send();",
    replace: "if (clock.now() >= 0) this.#send();",
  },
  // The node that publishes.
  {
    name: "an acknowledgement without the token counts",
    file: "src/reliability/send_stream.ts",
    find: "    this.acksRefused++;\n",
    replace: "    if (requester.isValidated) return true;\n    this.acksRefused++;\n",
  },
  {
    name: "a peer without the token is not sent it",
    file: "src/reliability/send_stream.ts",
    find: "if (!requester.isValidated || !this.#validationTokens.mayRespond(requester)) return false;",
    replace: "if (requester.isValidated) return false;",
  },
  {
    name: "the answers of a node count each time",
    file: "src/pubsub/quorum.ts",
    find: "this.#isSettled || this.#answers.has(id)",
    replace: "this.#isSettled",
  },
  {
    name: "an event that failed counts",
    file: "src/pubsub/quorum.ts",
    find: '    if (outcome !== "failed") this.#count++;\n',
    replace: "    this.#count++;\n",
  },
  {
    name: "all: a peer that has left is waited for",
    file: "src/pubsub/quorum.ts",
    find: "if (this.#peers.ids.has(id)) left++;",
    replace: "if (this.#peers.ids.has(id)) left += 0;",
  },
  {
    name: "all: a peer that is lost counts no longer",
    file: "src/reliability/reliability.ts",
    find: "this.awaitedBatches.depart(peer, stream?.leftAt !== undefined);",
    replace: "this.awaitedBatches.depart(peer, true);",
  },
  {
    name: "all: a peer that is lost fails nothing",
    file: "src/pubsub/quorum.ts",
    find: "for (const id of this.#lost.keys()) if (this.#peers.ids.has(id)) return false;",
    replace: "",
  },
  {
    name: "all: an answer of a peer that has joined since counts",
    file: "src/pubsub/quorum.ts",
    find: 'if (outcome !== "failed" && this.#peers.ids.has(node)) count++;',
    replace: 'if (outcome !== "failed") count++;',
  },
  {
    name: "too few peers are found out only when the time is over",
    file: "src/reliability/awaited_batches.ts",
    find: "if (!quorum.canBeSatisfied(peers)) throw quorum.shortage(peers);",
    replace: "",
  },
  {
    name: "the zone of the publisher counts unasked",
    file: "src/pubsub/quorum.ts",
    find: "if (zone !== undefined && zone !== this.#zone) zones.add(zone);",
    replace: "if (zone !== undefined) zones.add(zone);",
  },
  {
    name: "the zone of the publisher does not count when asked for",
    file: "src/pubsub/quorum.ts",
    find: "if (this.wish.ownZone && this.#zone !== undefined) zones.add(this.#zone);",
    replace: "",
  },
  {
    name: "an awaited publish has no limit in time",
    file: "src/reliability/awaited_batches.ts",
    find: "quorum.timer = clock.setTimer(() => quorum.fail(quorum.shortage(this.#peers())), wish.timeout);",
    replace: "quorum.timer = clock.setTimer(() => {}, wish.timeout);",
  },
  {
    name: "a settled await leaves its timer",
    file: "src/pubsub/quorum.ts",
    find: "    this.timer?.cancel();\n",
    replace: "",
  },
  {
    name: "a settled await stays a listener of its signal",
    file: "src/pubsub/quorum.ts",
    find: "    this.detach?.();\n",
    replace: "",
  },
  {
    name: "who has not acknowledged gets nothing again",
    file: "src/reliability/awaited_batches.ts",
    find: "if (!batch.acknowledged.has(id)) this.#config.stream.retransmit(number, id);",
    replace: "void id;",
  },
  {
    name: "who has acknowledged gets it again as well",
    file: "src/reliability/awaited_batches.ts",
    find: "if (!batch.acknowledged.has(id)) this.#config.stream.retransmit(number, id);",
    replace: "this.#config.stream.retransmit(number, id);",
  },
  {
    name: "a batch is sent again though nothing is awaited any more",
    file: "src/reliability/awaited_batches.ts",
    find: "    batch.timer?.cancel();\n",
    replace: "",
  },
  {
    name: "what was sent under an old id is awaited for ever",
    file: "src/reliability/reliability.ts",
    find: "    this.awaitedBatches.restart();\n",
    replace: "",
  },
  {
    name: "an awaited key waits like any other",
    file: "src/pubsub/batcher.ts",
    find: "if (batch !== this.#open || this.#isDue || this.#isTurnEnd) return;",
    replace: "if (batch === batch) return;",
  },
  {
    name: "the index of a prefix does not count the keys",
    file: "src/pubsub/batcher.ts",
    find: "isPrefix ? writer.keys + index : index",
    replace: "index",
  },
  {
    name: "what is awaited while it is pending is not acknowledged",
    file: "src/pubsub/batcher.ts",
    find: "    const { batch, noted } = covering;\n      if (awaiter !== undefined) this.#await",
    replace: "    const { batch, noted } = covering;\n      if (awaiter === batch as unknown) this.#await",
  },
  // Prefixes and metadata.
  {
    name: "a prefix stands for keys though Go nodes are there",
    file: "src/pubsub/batcher.ts",
    find: "pending?.noted.isPrefix === true && !isPrefix && this.#config.peers.hasPlain ? undefined : pending",
    replace: "pending",
  },
  {
    name: "a prefix that stays in a region stands for keys",
    file: "src/pubsub/pending_entries.ts",
    find: 'if (noted.isPrefix && noted.metadata?.scope !== "local") this.#prefixes.push(pending);',
    replace: "if (noted.isPrefix) this.#prefixes.push(pending);",
  },
  {
    name: "a key that stays in a region stands for the same key elsewhere",
    file: "src/pubsub/pending_entries.ts",
    find: 'if (same !== undefined && same.noted.metadata?.scope !== "local") return same;',
    replace: "if (same !== undefined) return same;",
  },
  {
    name: "entries of taken batches stand for what is published later",
    file: "src/pubsub/batcher.ts",
    find: "if (!this.#entries.isEmpty) this.#entries.take(batch);",
    replace: "",
  },
  {
    name: "vector clocks of pending keys are not merged",
    file: "src/pubsub/batcher.ts",
    find: "mergeClocks(noted.metadata?.vectorClock, entry.metadata?.vectorClock)",
    replace: "noted.metadata?.vectorClock ?? entry.metadata?.vectorClock",
  },
  {
    name: "pending keys of two regions become one",
    file: "src/pubsub/publication.ts",
    find: "a?.scope === b?.scope && a?.region === b?.region",
    replace: "a?.scope === b?.scope",
  },
  {
    name: "merged clocks have the later count",
    file: "src/wire/metadata.ts",
    find: "other !== undefined && other > count ? other : count",
    replace: "count",
  },
  {
    name: "a published prefix leaves load guards fresh",
    file: "src/pubsub/load_guard.ts",
    find: "prefixes[this.#held.prefixCount++ % MAX_PREFIXES] = prefix;",
    replace: "prefixes[this.#held.prefixCount % MAX_PREFIXES] = prefix;",
  },
  {
    name: "a guard that is older than the remembered prefixes is fresh",
    file: "src/pubsub/load_guard.ts",
    find: "if (prefixCount - this.#since > MAX_PREFIXES) return true;",
    replace: "",
  },
  {
    name: "a longer prefix gets the published one as its key",
    file: "src/pubsub/subscriptions.ts",
    find: "if (text.startsWith(prefix)) return text;",
    replace: "if (text.startsWith(prefix)) return prefix;",
  },
  {
    name: "a shorter prefix hears nothing of a published one",
    file: "src/pubsub/subscriptions.ts",
    find: 'return typeof topic !== "string" && prefix.startsWith(text) ? prefix : undefined;',
    replace: "return undefined;",
  },
  {
    name: "what stays in a region is delivered in others",
    file: "src/pubsub/key_intake.ts",
    find: "region !== undefined && this.#region !== undefined && region !== this.#region",
    replace: "region === this.#region && region === undefined",
  },
  {
    name: "keys for Go nodes are delivered everywhere",
    file: "src/pubsub/key_intake.ts",
    find: "attached?.isForGo === true || ",
    replace: "",
  },
  {
    name: "a batch of unreadable prefixes counts as received",
    file: "src/wire/extension.ts",
    find: 'if (tag === TAG_PREFIXES) return isSet(found, "prefixes", readPrefixes(value));',
    replace: 'if (tag === TAG_PREFIXES) return isSet(found, "prefixes", readPrefixes(value)) || true;',
  },
  {
    name: "a batch of unreadable metadata is dropped",
    file: "src/wire/extension.ts",
    find: "found.isMetadataUnreadable = true;",
    replace: "return false;",
  },
  // Tokens.
  {
    name: "a token does not stand for what is pending",
    file: "src/reliability/consistency_tokens.ts",
    find: "stream.next - 1 + batches.pendingBatches",
    replace: "stream.next - 1",
  },
  {
    name: "a token is reached when the last batch has come",
    file: "src/reliability/consistency_tokens.ts",
    find: "stream.window.settled >= number",
    replace: "stream.window.highest >= number",
  },
  {
    name: "a token is reached before it is known where the stream begins",
    file: "src/reliability/consistency_tokens.ts",
    find: "stream.catchUp === undefined && ",
    replace: "",
  },
  {
    name: "a token is reached when its batches have arrived",
    file: "src/reliability/consistency_tokens.ts",
    find: "this.#config.deliveries.whenDelivered(() => wait.settle());",
    replace: "wait.settle();",
  },
  {
    name: "a token is reached before subscribers hear of the gap",
    file: "src/pubsub/loss_notifier.ts",
    find: "if (this.#gaps.isDue) this.#afterGaps.push(done);\n    else ",
    replace: "",
  },
  {
    name: "a token is reached before the gap that a limit has held back",
    file: "src/reliability/consistency_tokens.ts",
    find: 'return streams().owesGap ? "missing" : "reached";',
    replace: 'return "reached";',
  },
  {
    name: "a token of a node that is gone is reached",
    file: "src/reliability/consistency_tokens.ts",
    find: 'if (!isSettled) return "gone";',
    replace: "",
  },
  {
    name: "a wait for a token looks once",
    file: "src/reliability/receive_streams.ts",
    find: "if (this.#config.progress.isAwaited) this.#config.progress.changed();",
    replace: "",
  },
  {
    name: "nothing is requested for a token",
    file: "src/reliability/consistency_tokens.ts",
    find: "    let request = clock.setTimer(() => onRequest(), REQUEST_AFTER);",
    replace: "    let request = clock.setTimer(() => {}, REQUEST_AFTER);",
  },
  {
    name: "a wait for a token that is over leaves its timers",
    file: "src/reliability/consistency_tokens.ts",
    find: "        for (const end of ends) end();\n",
    replace: "",
  },
  {
    name: "a token does not stand for the earlier one",
    file: "src/reliability/consistency_tokens.ts",
    find: "earlier === undefined ? [] : parse(earlier)",
    replace: "[]",
  },
]);
