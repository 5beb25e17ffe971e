/**
 * The keys that are outstanding between each two nodes of a seeded world: those that one has accepted and of which the
 * other has got neither an event nor a gap.
 *
 * @module
 */

import type { StormNode } from "./node.ts";

/** A key that is outstanding. */
export interface Debt {
  readonly key: string;
  /** When it was accepted, in milliseconds. */
  readonly at: number;
  /** The number of the first batch with it, 0 before that was sent, and when it was sent, in milliseconds. */
  number: number;
  sentAt: number;
  isPaid: boolean;
}

/** The outstanding keys of one node at another, the oldest first. */
class Account {
  #debts: Debt[] = [];
  #first = 0;
  /** How many of them have a number, or are settled: those before this index. */
  #numbered = 0;

  add(debt: Debt): void {
    this.#debts.push(debt);
  }

  /** The oldest that is not settled. */
  get oldest(): Debt | undefined {
    while (this.#debts[this.#first]?.isPaid) this.#first++;
    if (this.#first > 64 && this.#first > this.#debts.length / 2) this.#shrink();
    return this.#debts[this.#first];
  }

  /** The oldest that has a number up to `number` and is not settled. */
  sentUpTo(number: number): Debt | undefined {
    for (let i = this.#first; i < this.#debts.length; i++) {
      const debt = this.#debts[i] as Debt;
      if (!debt.isPaid && debt.number > 0 && debt.number <= number) return debt;
    }
    return undefined;
  }

  /** Notes the number of a batch with these keys, and when it is sent. */
  send(number: number, keys: ReadonlySet<string>, at: number): void {
    while (this.#debts[this.#numbered] !== undefined && isDone(this.#debts[this.#numbered] as Debt)) this.#numbered++;
    for (let i = this.#numbered; i < this.#debts.length; i++) {
      const debt = this.#debts[i] as Debt;
      if (debt.number > 0 || !keys.has(debt.key)) continue;
      debt.number = number;
      debt.sentAt = at;
    }
  }

  clear(): void {
    for (const debt of this.#debts) debt.isPaid = true;
    this.#debts = [];
    this.#first = this.#numbered = 0;
  }

  #shrink(): void {
    this.#debts = this.#debts.slice(this.#first);
    this.#numbered = Math.max(0, this.#numbered - this.#first);
    this.#first = 0;
  }
}

function isDone({ number, isPaid }: Debt): boolean {
  return number > 0 || isPaid;
}

/** A node for which keys may be outstanding. */
class Creditor {
  readonly accounts = new Map<StormNode, Account>();
  readonly #byKey = new Map<string, Debt[]>();

  owe(publisher: StormNode, debt: Debt): void {
    let account = this.accounts.get(publisher);
    if (account === undefined) this.accounts.set(publisher, account = new Account());
    account.add(debt);
    const others = this.#byKey.get(debt.key);
    if (others === undefined) this.#byKey.set(debt.key, [debt]);
    else others.push(debt);
  }

  pay(key: string): void {
    for (const debt of this.#byKey.get(key) ?? []) debt.isPaid = true;
    this.#byKey.delete(key);
  }

  forgive(publisher: StormNode): void {
    this.accounts.get(publisher)?.clear();
  }

  forgiveAll(): void {
    for (const account of this.accounts.values()) account.clear();
    this.#byKey.clear();
  }
}

/** The outstanding keys of all pairs whose receiver has subscribed to everything. */
export class StormLedger {
  readonly #creditors = new Map<StormNode, Creditor>();

  /** A node has subscribed to everything. */
  open(receiver: StormNode): void {
    if (!this.#creditors.has(receiver)) this.#creditors.set(receiver, new Creditor());
  }

  /** A node needs nothing more. */
  close(receiver: StormNode): void {
    this.#creditors.delete(receiver);
  }

  /** A node has accepted a key, at a time in milliseconds. */
  accept(publisher: StormNode, key: string, at: number): void {
    for (const [receiver, creditor] of this.#creditors) {
      if (receiver !== publisher) creditor.owe(publisher, { key, at, number: 0, sentAt: Infinity, isPaid: false });
    }
  }

  /** A node sends a batch for the first time, at a time in milliseconds. */
  send(publisher: StormNode, number: number, keys: ReadonlySet<string>, at: number): void {
    for (const { accounts } of this.#creditors.values()) accounts.get(publisher)?.send(number, keys, at);
  }

  /** A node has got an event of a key. It counts for each node that has published the key. */
  pay(receiver: StormNode, key: string): void {
    this.#creditors.get(receiver)?.pay(key);
  }

  /** A node has got a gap of another node, or of all. */
  forgive(receiver: StormNode, publisher?: StormNode): void {
    const creditor = this.#creditors.get(receiver);
    if (publisher === undefined) creditor?.forgiveAll();
    else creditor?.forgive(publisher);
  }

  /** Calls back for each pair with a key that has been outstanding since `before`, in milliseconds. */
  eachOwing(before: number, call: (receiver: StormNode, publisher: StormNode, debt: Debt) => void): void {
    for (const [receiver, { accounts }] of this.#creditors) {
      for (const [publisher, account] of accounts) {
        const { oldest } = account;
        if (oldest !== undefined && oldest.at < before) call(receiver, publisher, oldest);
      }
    }
  }

  /** What is outstanding of the batches with a number up to this. */
  sentUpTo(receiver: StormNode, publisher: StormNode, number: number): Debt | undefined {
    return this.#creditors.get(receiver)?.accounts.get(publisher)?.sentUpTo(number);
  }
}
