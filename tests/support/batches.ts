// Batcher rig: a batcher on a virtual clock, with a record of its calls.
import { VirtualClock } from "../../adapters/memory/clock.ts";
import { SendBudget } from "../../src/net/send_budget.ts";
import { Batcher, type BatcherConfig } from "../../src/pubsub/batcher.ts";
import type { DeliveryAwaiter } from "../../src/pubsub/pending_entries.ts";
import type { BatchWriter } from "../../src/wire/batch_writer.ts";
import { type BatchPacket, decodePacket } from "../../src/wire/packet.ts";

/** A batcher on a virtual clock, with a record of its calls. */
export interface BatcherRig {
  readonly batcher: Batcher;
  readonly clock: VirtualClock;
  /** A send budget for these batches alone: `spend` takes from it. */
  readonly budget: SendBudget;
  /** When it has woken the transmit queue. */
  readonly readyAt: number[];
  /** The delays of its timers. The end of a turn is not one. */
  readonly timers: number[];
  /** Takes all datagrams that are ready, and returns their keys. */
  takeAll(): string[][];
}

/** Makes a batcher with the defaults of a mesh. */
export function makeBatcher(config: Partial<BatcherConfig> = {}): BatcherRig {
  const clock = new VirtualClock();
  const readyAt: number[] = [];
  const timers: number[] = [];
  const budget = new SendBudget({ clock });
  const batcher = new Batcher({
    nodeId: new Uint8Array(16).fill(7),
    batchInterval: 100,
    batchSize: 20,
    queueSize: 1000,
    clock: {
      now: () => clock.now(),
      setTimer(callback, delay) {
        timers.push(delay);
        return clock.setTimer(callback, delay);
      },
      setTurnEnd: (callback) => clock.setTurnEnd(callback),
    },
    budget,
    transmit: { wake: () => readyAt.push(clock.now()) },
    ownKeys: { acceptedLate() {} },
    peers: { hasPlain: false },
    ...config,
  });
  const takeAll = () => {
    const taken: string[][] = [];
    for (let datagram = batcher.take(); datagram !== undefined; datagram = batcher.take()) taken.push(keysOf(datagram));
    batcher.release();
    return taken;
  };
  return { batcher, clock, budget, readyAt, timers, takeAll };
}

/** The keys of a batch. */
export function keysOf(datagram: Uint8Array): string[] {
  const packet = decodePacket(datagram) as BatchPacket;
  return packet.keys.map((key) => new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(key));
}

/** Appends a key to a batch. Returns 0 when the key is in, otherwise why not, with the batch unchanged. */
export function addKey(writer: BatchWriter, key: string): number {
  const end = writer.put(key);
  if (end < 0) return end;
  writer.commit(end);
  return 0;
}

/** An awaiter that is told the number of its batch, and the index of its entry there. */
export function makeAwaiter(onNumbered: (number: number, index: number) => void): DeliveryAwaiter {
  const at = { isPrefix: false, index: -1 };
  return {
    place: (isPrefix, index) => void Object.assign(at, { isPrefix, index }),
    numbered: (number, keys) => onNumbered(number, at.isPrefix ? keys + at.index : at.index),
  };
}
