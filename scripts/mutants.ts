/**
 * Breaks the package in one way after another, and shows that each breakage is detected: one of retransmission by
 * storms, one of membership by worlds of churn or by its tests, and one of the API by tests.
 *
 *     npm run mutants                   all
 *     npm run mutants -- hole           those whose name has the word
 *     npm run mutants -- --judge calls  those that are judged so: storms, churn, calls, traffic,
 *                                     awaits
 *
 * The sources are copied to a temporary folder; nothing changes here. A breakage whose piece of source does not occur
 * exactly once is an error, so that the list follows the code.
 *
 * @module
 */

import { execFile } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { AWAITS } from "./mutants/awaits.ts";
import { CALLS } from "./mutants/calls.ts";
import { MEMBERSHIP } from "./mutants/membership.ts";
import type { Judge, Mutant } from "./mutants/mutant.ts";
import { PROTOCOL } from "./mutants/protocol.ts";
import { WIDER } from "./mutants/wider.ts";
import { TRAFFIC } from "./mutants/traffic.ts";
import { ROOT } from "./runtimes.ts";

/**
 * Storms that a breakage must survive before and after the directed tests, which take as long as some hundred storms.
 */
const STORMS = [100, 1000] as const;
/** The directed tests, which also cover what storms do not show. */
const STORM_TESTS = [
  "sim/storm_directed",
  "reliability/acknowledgements",
  "reliability/congestion_detector",
  "reliability/nak_scheduler",
  "membership/path_mtu",
  "reliability/receive_streams",
  "membership/departed_peers",
  "observability/status",
  "pubsub/dispatcher",
  "membership/unicast_copy_budget",
  "reliability/send_stream",
  "runtimes/shutdown",
  "sim/short_lived_nodes",
  "sim/suspended",
  "sim/duplicate_id",
  "membership/membership",
];
/** Churn worlds of each kind. */
const CHURN = 2;
/** Tests of what churn worlds show. */
const MEMBERSHIP_TESTS = [
  "membership/membership",
  "membership/path_validation",
  "membership/failure_detector",
  "membership/multicast_reachability",
  "membership/amplification_limit",
  "membership/path_challenges",
  "membership/peer_table",
  "membership/heartbeats",
  "membership/bootstrap",
  "net/fanout",
  "membership/unicast_copy_budget",
  "membership/response_suppression",
];
/** Tests of what callers pass and get. */
const CALL_TESTS = [
  "runtimes/async_context",
  "pubsub/dispatcher",
  "platform/abort_signal",
  "platform/known_options",
  "pubsub/topic_patterns",
  "observability/status",
  "observability/diagnosis/false_alarms",
];
/** Tests of how keys are gathered, sent and looked up. */
const TRAFFIC_TESTS = [
  "pubsub/batcher",
  "pubsub/batcher_property",
  "net/send_budget",
  "pubsub/pending_keys",
  "pubsub/subscription_memory",
  "runtimes/blocked_subscriber",
  "pubsub/dispatcher",
  "pubsub/publish_waiters",
  "net/transmit_queue",
  "adapters/send_queue",
  "pubsub/key_table",
  "wire/key_bytes",
  "pubsub/subscriptions_property",
  "pubsub/load_guard",
  "pubsub/own_events",
];
/** Storms that a breakage of what is awaited must survive after its tests. */
const AWAIT_STORMS = 400;
/** Tests of what is awaited, and of what events carry. */
const AWAIT_TESTS = [
  "pubsub/publication",
  "pubsub/batcher_entries",
  "pubsub/delivery_receipt",
  "pubsub/quorum",
  "pubsub/key_intake",
  "pubsub/load_guard",
  "pubsub/dispatcher",
  "pubsub/subscriptions",
  "reliability/delivery_acks",
  "reliability/awaited_batches",
  "reliability/consistency_tokens",
  "reliability/send_stream",
  "reliability/receive_streams",
  "wire/extension",
  "wire/metadata",
  "wire/batch_writer",
  "conformance/in_process_bus",
  "conformance/memory_mesh",
  "sim/awaits_directed",
  "sim/tokens",
  "sim/duplicate_id",
  "sim/hostile",
  "membership/path_validation",
];
const JUDGES: Readonly<Record<Judge, string>> = {
  storms: "storms",
  churn: "churn worlds",
  calls: "tests of calls",
  traffic: "tests of how keys travel",
  awaits: "tests of what is awaited",
};
const JOBS = 2;
/** A breakage may make a world run for ever. */
const TIMEOUT_MS = 120_000;
const COPIED = ["src", "adapters", "cli", "conformance", "tests", "scripts", "mod.ts", "package.json"];

const { values: { judge: by }, positionals } = parseArgs({
  options: { judge: { type: "string" } },
  allowPositionals: true,
});
const mutants = [...PROTOCOL, ...WIDER, ...MEMBERSHIP, ...CALLS, ...TRAFFIC, ...AWAITS];
const chosen = mutants.filter(({ name, judge }) =>
  positionals.every((word) => name.includes(word)) && (by === undefined || judge === by)
);
const rotten = mutants.filter(({ file, find }) => readFileSync(join(ROOT, file), "utf8").split(find).length !== 2);
for (const { name, file } of rotten) console.error(`"${name}": its piece of ${file} is not there exactly once`);
if (chosen.length === 0) console.error(`No breakage has "${positionals.join(" ")}" in its name`);
if (rotten.length > 0 || chosen.length === 0) process.exit(1);

const survivors: string[] = [];
const waiting = [...chosen];
const start = performance.now();
for (const judge of new Set(chosen.map(({ judge }) => judge))) {
  const healthy = await inCopy((folder) => verdictOf(judge, folder));
  if (healthy === undefined) continue;
  console.error(`The ${JUDGES[judge]} fail as it is: ${healthy}`);
  process.exit(1);
}
await Promise.all(Array.from({ length: JOBS }, () =>
  inCopy(async (folder) => {
    for (let mutant = waiting.shift(); mutant !== undefined; mutant = waiting.shift()) await tryOut(folder, mutant);
  })));
const seconds = Math.round((performance.now() - start) / 1000);
console.log(`\n${chosen.length - survivors.length} of ${chosen.length} breakages were noticed, ${seconds} s`);
for (const name of survivors) console.error(`Not noticed: ${name}`);
process.exitCode = survivors.length === 0 ? 0 : 1;

async function tryOut(folder: string, { name, file, find, replace, judge, seeds = [] }: Mutant): Promise<void> {
  const path = join(folder, file);
  const source = readFileSync(path, "utf8");
  writeFileSync(path, source.replace(find, () => replace));
  const begun = performance.now();
  // A breakage that cannot be loaded fails everywhere, and shows nothing.
  const { ok } = await node(folder, "mod.ts");
  const verdict = ok ? await inSeeds(folder, seeds) ?? await verdictOf(judge, folder) : undefined;
  writeFileSync(path, source);
  const why = verdict ?? (ok ? "by nothing" : "it cannot be loaded");
  const time = `${((performance.now() - begun) / 1000).toFixed(1)} s`;
  console.log(`${verdict === undefined ? "SURVIVED" : "noticed "}  ${name} (${why}, ${time})`);
  if (verdict === undefined) survivors.push(name);
}

/** The failure that a judge finds in a folder; `undefined` for none. */
async function verdictOf(judge: Judge, folder: string): Promise<string | undefined> {
  if (judge === "calls") return await inTests(folder, CALL_TESTS);
  if (judge === "awaits") {
    return await inTests(folder, AWAIT_TESTS) ?? await inWorlds(folder, "worlds", 1, AWAIT_STORMS);
  }
  if (judge === "traffic") return await inTests(folder, TRAFFIC_TESTS);
  if (judge === "churn") {
    return await inWorlds(folder, "churn", 1, CHURN) ?? await inTests(folder, MEMBERSHIP_TESTS);
  }
  return await inWorlds(folder, "worlds", 1, STORMS[0]) ?? await inTests(folder, STORM_TESTS) ??
    await inWorlds(folder, "worlds", 1 + STORMS[0], STORMS[1]);
}

async function inSeeds(folder: string, seeds: readonly number[]): Promise<string | undefined> {
  for (const seed of seeds) {
    const verdict = await inWorlds(folder, "worlds", seed, 1);
    if (verdict !== undefined) return verdict;
  }
  return undefined;
}

async function inWorlds(folder: string, script: string, from: number, count: number): Promise<string | undefined> {
  const share = ["--from", String(from), "--count", String(count), "--jobs", "1", "--bail"];
  const { ok, output } = await node(folder, `scripts/${script}.ts`, ...share);
  if (ok) return undefined;
  return /World (\w+ )?\d+ at [^\n]*/.exec(output)?.[0].slice(0, 100) ?? "a world that does not end";
}

async function inTests(folder: string, names: readonly string[]): Promise<string | undefined> {
  const files = names.map((name) => `tests/${name}.test.ts`);
  // The runner ends a file that does not end by itself. If the runner were killed, the file's process would remain.
  const options = ["--test", "--test-reporter=tap", `--test-timeout=${TIMEOUT_MS}`];
  const { ok, output } = await run(folder, 0, ...options, ...files);
  return ok ? undefined : /not ok \d+ - ([^\n]*)/.exec(output)?.[1] ?? "a directed test that does not end";
}

interface Run {
  readonly ok: boolean;
  readonly output: string;
}

function node(folder: string, ...args: string[]): Promise<Run> {
  return run(folder, TIMEOUT_MS, ...args);
}

/** Runs Node without showing its output. A `timeout` of 0 is none. */
function run(folder: string, timeout: number, ...args: string[]): Promise<Run> {
  const options = { cwd: folder, timeout, killSignal: "SIGKILL", maxBuffer: 2 ** 26 } as const;
  return new Promise((resolve) => {
    execFile(process.execPath, ["--import", "tsx", ...args], options, (error, stdout, stderr) => {
      resolve({ ok: error === null, output: stdout + stderr });
    });
  });
}

async function inCopy<T>(body: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "warp-mesh-mutant-"));
  try {
    for (const name of COPIED) cpSync(join(ROOT, name), join(folder, name), { recursive: true });
    symlinkSync(join(ROOT, "node_modules"), join(folder, "node_modules"));
    return await body(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
