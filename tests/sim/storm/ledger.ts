/**
 * Ledger: the keys that are outstanding between each two nodes of a seeded world: those that one has accepted and of
 * which the other has got neither an event nor a gap.
 *
 * @module
 */

import type { StormNode } from "./node.ts";

/** A key that is outstanding. */
export interface OwedKey {
  readonly key: string;
  /** When it was accepted, in milliseconds. */
  readonly at: number;
  /** The number of the first batch with it, 0 before that was sent, and when it was sent, in milliseconds. */
  number: number;
  sentAt: number;
  isSettled: boolean;
}

/** The outstanding keys of one node at another, the oldest first. */
class Account {
  #owed: OwedKey[] = [];
  #first = 0;
  /** How many of them have a number, or are settled: those before this index. */
  #numbered = 0;

  add(owed: OwedKey): void {
    this.#owed.push(owed);
  }

  /** The oldest that is not settled. */
  get oldest(): OwedKey | undefined {
    while (this.#owed[this.#first]?.isSettled) this.#first++;
    if (this.#first > 64 && this.#first > this.#owed.length / 2) this.#shrink();
    return this.#owed[this.#first];
  }

  /** The oldest that has a number up to `number` and is not settled. */
  sentUpTo(number: number): OwedKey | undefined {
    for (let i = this.#first; i < this.#owed.length; i++) {
      const owed = this.#owed[i] as OwedKey;
      if (!owed.isSettled && owed.number > 0 && owed.number <= number) return owed;
    }
    return undefined;
  }

  /** Notes the number of a batch with these keys, and when it is sent. */
  send(number: number, keys: ReadonlySet<string>, at: number): void {
    while (this.#owed[this.#numbered] !== undefined && isDone(this.#owed[this.#numbered] as OwedKey)) this.#numbered++;
    for (let i = this.#numbered; i < this.#owed.length; i++) {
      const owed = this.#owed[i] as OwedKey;
      if (owed.number > 0 || !keys.has(owed.key)) continue;
      owed.number = number;
      owed.sentAt = at;
    }
  }

  clear(): void {
    for (const owed of this.#owed) owed.isSettled = true;
    this.#owed = [];
    this.#first = this.#numbered = 0;
  }

  #shrink(): void {
    this.#owed = this.#owed.slice(this.#first);
    this.#numbered = Math.max(0, this.#numbered - this.#first);
    this.#first = 0;
  }
}

function isDone({ number, isSettled }: OwedKey): boolean {
  return number > 0 || isSettled;
}

/** A node for which keys may be outstanding. */
class Outstanding {
  readonly accounts = new Map<StormNode, Account>();
  readonly #byKey = new Map<string, OwedKey[]>();

  owe(publisher: StormNode, owed: OwedKey): void {
    let account = this.accounts.get(publisher);
    if (account === undefined) this.accounts.set(publisher, account = new Account());
    account.add(owed);
    const others = this.#byKey.get(owed.key);
    if (others === undefined) this.#byKey.set(owed.key, [owed]);
    else others.push(owed);
  }

  settle(key: string): void {
    for (const owed of this.#byKey.get(key) ?? []) owed.isSettled = true;
    this.#byKey.delete(key);
  }

  settlePrefix(prefix: string): void {
    for (const key of this.#byKey.keys()) if (key.startsWith(prefix)) this.settle(key);
  }

  cover(publisher: StormNode): void {
    this.accounts.get(publisher)?.clear();
  }

  coverAll(): void {
    for (const account of this.accounts.values()) account.clear();
    this.#byKey.clear();
  }
}

/** The outstanding keys of all pairs whose receiver has subscribed to everything. */
export class StormLedger {
  readonly #receivers = new Map<StormNode, Outstanding>();

  /** A node has subscribed to everything. */
  open(receiver: StormNode): void {
    if (!this.#receivers.has(receiver)) this.#receivers.set(receiver, new Outstanding());
  }

  /** A node needs nothing more. */
  close(receiver: StormNode): void {
    this.#receivers.delete(receiver);
  }

  /** A node has accepted a key, at a time in milliseconds. */
  accept(publisher: StormNode, key: string, at: number): void {
    for (const [receiver, outstanding] of this.#receivers) {
      if (receiver !== publisher) {
        outstanding.owe(publisher, { key, at, number: 0, sentAt: Infinity, isSettled: false });
      }
    }
  }

  /** A node sends a batch for the first time, at a time in milliseconds. */
  send(publisher: StormNode, number: number, keys: ReadonlySet<string>, at: number): void {
    for (const { accounts } of this.#receivers.values()) accounts.get(publisher)?.send(number, keys, at);
  }

  /** A node has got an event of a key. It counts for each node that has published the key. */
  settle(receiver: StormNode, key: string): void {
    this.#receivers.get(receiver)?.settle(key);
  }

  /** A node has got an event of a prefix. */
  settlePrefix(receiver: StormNode, prefix: string): void {
    this.#receivers.get(receiver)?.settlePrefix(prefix);
  }

  /** A node has got a gap of another node, or of all. */
  cover(receiver: StormNode, publisher?: StormNode): void {
    const outstanding = this.#receivers.get(receiver);
    if (publisher === undefined) outstanding?.coverAll();
    else outstanding?.cover(publisher);
  }

  /** Calls back for each pair with a key that has been outstanding since `before`, in milliseconds. */
  eachOwing(before: number, call: (receiver: StormNode, publisher: StormNode, owed: OwedKey) => void): void {
    for (const [receiver, { accounts }] of this.#receivers) {
      for (const [publisher, account] of accounts) {
        const { oldest } = account;
        if (oldest !== undefined && oldest.at < before) call(receiver, publisher, oldest);
      }
    }
  }

  /** What is outstanding of the batches with a number up to this. */
  sentUpTo(receiver: StormNode, publisher: StormNode, number: number): OwedKey | undefined {
    return this.#receivers.get(receiver)?.accounts.get(publisher)?.sentUpTo(number);
  }
}
