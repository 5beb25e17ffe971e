/**
 * Memory network faults: what goes wrong between two simulated hosts.
 *
 * @module
 */

import { checkKnown, type KnownOptions, knownOptions } from "../../src/platform/known_options.ts";
import type { MemoryDatagram } from "./datagram.ts";

/**
 * The faults of the paths from one host to another. The chances are numbers from 0 to 1, drawn for each copy, so that
 * the receivers of one multicast lose different datagrams. Datagrams within a host are affected only by a full receive
 * buffer.
 */
export interface Faults {
  /**
   * Chance that a datagram is lost.
   * @default {0}
   */
  readonly loss: number;
  /**
   * Chance that a datagram arrives twice.
   * @default {0}
   */
  readonly duplicate: number;
  /**
   * Chance that a datagram is held back for up to `reorderBy`, so that later ones overtake it. All others from one host
   * to another arrive in the order in which they were sent, whatever their `delay`.
   * @default {0}
   */
  readonly reorder: number;
  /**
   * Longest time for which `reorder` holds a datagram back, in milliseconds.
   * @default {10}
   */
  readonly reorderBy: number;
  /**
   * How long a datagram takes, in milliseconds: each time a number from `min` to `max`, both from 0 up.
   * @default {{ min: 0.1, max: 0.1 }}
   */
  readonly delay: { readonly min: number; readonly max: number };
  /**
   * Chance that a datagram is truncated to a length from 0 to one byte less than it has.
   * @default {0}
   */
  readonly truncate: number;
  /** Selects further datagrams to lose: those for which it returns true. Called once for each receiving host. */
  readonly drop?: ((datagram: MemoryDatagram) => boolean) | undefined;
}

/** Some of the {@linkcode Faults}. One that is `undefined` is left as it is. */
export type SomeFaults = { readonly [Fault in keyof Faults]?: Faults[Fault] | undefined };

/** The datagrams that a fault affects; an address that is left out stands for every host. */
export interface Direction {
  /** Address of the sending host. */
  readonly from?: string | undefined;
  /** Address of the receiving host. */
  readonly to?: string | undefined;
}

/** The names of all faults. */
export const FAULTS: KnownOptions = knownOptions<Faults>({
  loss: true,
  duplicate: true,
  reorder: true,
  reorderBy: true,
  delay: true,
  truncate: true,
  drop: true,
});

const DIRECTION = knownOptions<Direction>({ from: true, to: true });
const DELAY = knownOptions<Faults["delay"]>({ min: true, max: true });

/** The path from one host to another. */
export interface Link {
  faults: Faults;
  /** When the last datagram that was not held back arrives: later ones do not overtake it. */
  lastArrival: number;
}

const NO_FAULTS: Faults = {
  loss: 0,
  duplicate: 0,
  reorder: 0,
  reorderBy: 10,
  delay: { min: 0.1, max: 0.1 },
  truncate: 0,
  drop: undefined,
};

interface Rule {
  readonly faults: Partial<Faults>;
  readonly direction: Direction;
}

/** The paths between all hosts: the faults of each, and which are cut. */
export class Links {
  #rules: Rule[] = [];
  readonly #links = new Map<string, Map<string, Link>>();
  readonly #sides = new Map<string, number>();
  readonly #cuts = new Set<string>();

  set(faults: SomeFaults, direction: Direction): void {
    checkFaults(faults);
    checkKnown("set the faults", direction, DIRECTION);
    const added = { faults: definedOf(faults), direction };
    this.#rules = [...this.#rules.map((rule) => without(rule, added)), added]
      .filter((rule) => Object.keys(rule.faults).length > 0);
    for (const [from, links] of this.#links) {
      for (const [to, link] of links) link.faults = this.#faults(from, to);
    }
  }

  between(from: string, to: string): Link {
    let links = this.#links.get(from);
    if (links === undefined) this.#links.set(from, links = new Map());
    let link = links.get(to);
    if (link === undefined) links.set(to, link = { faults: this.#faults(from, to), lastArrival: 0 });
    return link;
  }

  partition(groups: ReadonlyArray<readonly string[]>): void {
    this.#sides.clear();
    groups.forEach((group, side) => group.forEach((address) => this.#sides.set(address, side)));
  }

  cut(from: string, to: string): void {
    this.#cuts.add(`${from} ${to}`);
  }

  heal(): void {
    this.#sides.clear();
    this.#cuts.clear();
  }

  isOpen(from: string, to: string): boolean {
    if (this.#cuts.size > 0 && this.#cuts.has(`${from} ${to}`)) return false;
    if (this.#sides.size === 0) return true;
    const [a, b] = [this.#sides.get(from), this.#sides.get(to)];
    return a === b || a === undefined || b === undefined;
  }

  #faults(from: string, to: string): Faults {
    return this.#rules.reduce(
      (faults, { faults: changed, direction }) =>
        (direction.from ?? from) === from && (direction.to ?? to) === to ? { ...faults, ...changed } : faults,
      NO_FAULTS,
    );
  }
}

const CHANCES = ["loss", "duplicate", "reorder", "truncate"] as const;

/** The faults that are set, including `drop: undefined`, which removes a `drop`. */
function definedOf(faults: SomeFaults): Partial<Faults> {
  return Object.fromEntries(Object.entries(faults).filter(([name, value]) => value !== undefined || name === "drop"));
}

/** The part of a rule that a later one does not override: this bounds the number of rules. */
function without(rule: Rule, later: Rule): Rule {
  const { from = rule.direction.from, to = rule.direction.to } = later.direction;
  if (from !== rule.direction.from || to !== rule.direction.to) return rule;
  const left = Object.entries(rule.faults).filter(([name]) => !(name in later.faults));
  return { faults: Object.fromEntries(left), direction: rule.direction };
}

function checkFaults(faults: SomeFaults): void {
  checkKnown("set the faults", faults, FAULTS);
  checkKnown("set the faults", faults.delay, DELAY);
  for (const name of CHANCES) {
    const chance = faults[name] ?? 0;
    if (chance >= 0 && chance <= 1) continue;
    throw new RangeError(
      `Cannot set the faults as \`${name}\` must be a number from 0 to 1: current value is ${chance}`,
    );
  }
  const { reorderBy = 0, delay: { min, max } = { min: 0, max: 0 } } = faults;
  if (!(reorderBy >= 0 && reorderBy < Infinity)) {
    throw new RangeError(
      `Cannot set the faults as \`reorderBy\` must be a finite number from 0 up: current value is ${reorderBy}`,
    );
  }
  if (!(min >= 0 && max >= min && max < Infinity)) {
    throw new RangeError(
      "Cannot set the faults as `delay` must go from a finite `min` of at least 0 to a finite `max` no less: " +
        `current value is { min: ${min}, max: ${max} }`,
    );
  }
}
