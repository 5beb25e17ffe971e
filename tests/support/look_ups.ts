// Look-up counter: counts the operations on maps, sets and key tables.
import { KeyTable } from "../../src/pubsub/key_table.ts";

/** Counts of the operations on maps, sets and key tables. */
export interface LookUps {
  /** Calls of `get`, `has`, `set` and `delete`, and of `find` of a key table. */
  direct: number;
  /** Entries that loops over maps and sets visited, and the ends of those loops. */
  stepped: number;
}

type Method = (this: unknown, ...args: unknown[]) => unknown;

/**
 * Runs `action`, which must not be asynchronous, and counts these operations: a measure that is equal on all machines.
 */
export function countLookUps(action: () => void): LookUps {
  const counts: LookUps = { direct: 0, stepped: 0 };
  const restore: (() => void)[] = [];
  const spy = (target: object, name: string, count: keyof LookUps) => {
    const methods = target as Record<string, Method>;
    const original = methods[name] as Method;
    methods[name] = function (...args) {
      counts[count]++;
      return original.apply(this, args);
    };
    restore.push(() => void (methods[name] = original));
  };
  for (const name of ["get", "has", "set", "delete"]) spy(Map.prototype, name, "direct");
  for (const name of ["has", "add", "delete"]) spy(Set.prototype, name, "direct");
  spy(KeyTable.prototype, "find", "direct");
  spy(Object.getPrototypeOf(new Map().entries()) as object, "next", "stepped");
  spy(Object.getPrototypeOf(new Set().values()) as object, "next", "stepped");
  try {
    action();
  } finally {
    for (const undo of restore) undo();
  }
  return counts;
}
