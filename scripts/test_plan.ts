/**
 * The test plan: what each test file needs of the machine, and on which runtimes it runs.
 *
 * @module
 */

/** How a test file runs beside others. */
export type Kind =
  /** Short, and with only a virtual clock, or with sockets of its own process: many in one process. */
  | "unit"
  /** Long, and with only a virtual clock: a process each, as many at a time as there are processors. */
  | "long"
  /** Starts processes and hosts, and mostly waits for them: four at a time, and none of the other kinds beside them. */
  | "live"
  /** Uses all processors, or would measure something else beside others: alone on the machine. */
  | "alone";

/**
 * Beginnings of paths in `tests/`, of files or of folders. Of two lists of kinds the first that matches a file counts.
 */
export const LISTS = {
  alone: [
    "hosts/discovery.",
    "hosts/loss.",
    "runtimes/blocked_subscriber.",
    "runtimes/busy_host.",
    "scripts/hot_paths.",
  ],
  live: [
    "adapters/system_clock.",
    "cli/doctor.",
    "conformance/mesh.",
    "contract/",
    "hosts/",
    "open_errors.",
    "runtimes/",
    "scripts/test_failures.",
  ],
  /** Beside simulations: tests that measure memory, and the benchmark, none of whose figures is held to a limit. */
  long: [
    "membership/departed_peers.",
    "observability/diagnosis/diagnose.",
    "observability/diagnosis/false_alarms.",
    "pubsub/subscription_memory.",
    "scripts/bench.",
    "sim/",
  ],
  /** The longest ones, which would run alone at the end if they began late. */
  first: ["hosts/doctor.", "runtimes/stopped_process.", "scripts/bench.", "sim/pace_links.", "sim/storm."],
  /** For the first run alone: starts Node, Deno and Bun by itself, or is one of the longest simulations. */
  once: [
    "hosts/",
    "runtimes/busy_host.",
    "runtimes/demo.",
    "scripts/bench.",
    "sim/churn.",
    "sim/mesh_size.",
    "sim/pace_links.",
  ],
  /** Of the hosts, those with one runtime: the one that runs the test. And some that the versions of Node run. */
  notOnce: ["hosts/adapter_contract.", "hosts/host_shapes.", "hosts/hosts.", "hosts/no_multicast."],
  /** On Node alone: the other runtimes lack what it needs. */
  nodeOnly: ["pubsub/subscription_memory.", "scripts/hot_paths."],
  /** For the versions of Node: starts this one beside the only Deno and Bun. */
  onNode: [
    "adapters/system_clock.",
    "hosts/hosts.",
    "runtimes/mixed_runtimes.",
    "runtimes/process_exit.",
    "runtimes/stopped_process.",
    "scripts/test_failures.",
  ],
  /**
   * Of the long ones, what other versions of a runtime run: what depends on the version, and the shortest simulations.
   */
  longOnVersions: [
    "pubsub/subscription_memory.",
    "sim/duplicate_id.",
    "sim/everyday_load.",
    "sim/suspended.",
  ],
  /**
   * What other runtimes omit at small size: rules of the protocol, which depend on no runtime, tests on Node that start
   * all runtimes by themselves, a process that keeps two processors busy, and most of the long ones.
   */
  notOnRuntimes: [
    "cli/doctor.",
    "discovery/",
    "hosts/adapter_contract.",
    "membership/",
    "observability/",
    "reliability/",
    "runtimes/blocked_subscriber.",
    "runtimes/process_groups.",
    "sim/",
  ],
  /** Exceptions to that: worlds of every kind, and real sockets. */
  onRuntimes: ["sim/short_lived_nodes.", "sim/storm."],
} as const;

/**
 * Whether all tests of a file may be skipped: on a runtime without what they need, or where no network namespace can be
 * made.
 */
export function maySkip(file: string, runtime: string): boolean {
  return file.startsWith("tests/hosts/") || (runtime !== "node" && isIn(file, "nodeOnly"));
}

/** How a file runs beside others. */
export function kindOf(file: string): Kind {
  if (isIn(file, "alone")) return "alone";
  if (isIn(file, "live")) return "live";
  return isIn(file, "long") ? "long" : "unit";
}

/** The same files, those that take longest first. */
export function longestFirst(files: readonly string[]): string[] {
  return [...files.filter((file) => isIn(file, "first")), ...files.filter((file) => !isIn(file, "first"))];
}

/**
 * Whether a file must run on a runtime when it has run on those that are `before`: other runtimes, or other versions of
 * it.
 */
export function isShownBy(file: string, runtime: string, isFull: boolean, before: readonly string[]): boolean {
  if (runtime !== "node" && isIn(file, "nodeOnly")) return false;
  if (before.length === 0) return true;
  if (isIn(file, "once") && !isIn(file, "notOnce")) return false;
  if (before.includes(runtime)) {
    if (kindOf(file) === "long") return isIn(file, "longOnVersions");
  } else if (!isFull && isIn(file, "notOnRuntimes") && !isIn(file, "onRuntimes")) return false;
  return runtime === "node" || !before.includes("node") || !isIn(file, "onNode");
}

function isIn(file: string, list: keyof typeof LISTS): boolean {
  return LISTS[list].some((path) => file.startsWith(`tests/${path}`));
}
