// The benchmark runs and prints what it should. Its figures depend on the machine, so no test holds them to a limit.
import { execFile } from "node:child_process";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { assert, assertEquals } from "@std/assert";
import { GROUPS } from "../../bench/groups.ts";
import { serverVersion } from "../../bench/servers.ts";
import { unavailable } from "../hosts/support/netns.ts";
import { some } from "../support/size.ts";

interface Figure {
  readonly name: string;
  readonly unit: string;
  readonly value: number;
  readonly low: number;
  readonly high: number;
  readonly rounds: number;
  readonly control?: string;
  readonly ratio?: number;
}

interface Report {
  readonly package: string;
  readonly quick: boolean;
  readonly versions: Readonly<Record<string, string>>;
  readonly servers: Readonly<Record<string, string | null>>;
  readonly targets: readonly { readonly figure: string; readonly value: number; readonly met: boolean }[];
  readonly figures: Readonly<Record<string, Figure>>;
}

const RUNTIMES = some(["node", "deno", "bun"], (name) => name === "node");
const LONGEST = ["latency", "throughput", "cost", "open", "repair", "silent"];
/** The groups that take longest run at full size only. */
const GROUPS_RUN = some(GROUPS.map(({ name }) => name), (name) => !LONGEST.includes(name));
const BROKERS = ["redis", "nats"] as const;

const latency = (bus: string) =>
  [5, 50, 500, 5_000, 50_000].flatMap((rate) =>
    // With `--quick` a round has 200 ms of keys; 99.9 % of fewer than a thousand is no figure.
    ["p50", "p99", ...(rate >= 5_000 ? ["p999"] : [])].map((quantile) => `latency.${rate}.${bus}.${quantile}`)
  );
const throughput = (bus: string, ways = ["1to1", "1to4", "4to4"]) =>
  ways.flatMap((way) =>
    ["keys", "lost", "cpu", "publisherCpu", "subscriberCpu"].map((what) => `throughput.${way}.${bus}.${what}`)
  );

const EACH = [
  ...["mesh", "bare"].flatMap(latency),
  ...["mesh", "bare"].flatMap((bus) => ["p50", "p99"].map((quantile) => `idle.${bus}.${quantile}`)),
  ...["mesh", "filled", "loop"].flatMap((bus) => throughput(bus)),
  ...["bare", "exact"].flatMap((bus) => throughput(bus, ["1to1"])),
  ...["ascii", "wide"].flatMap((kind) =>
    ["encode", "decode"].flatMap((step) => [`codec.${step}.${kind}`, `codec.${step}.${kind}.control`])
  ),
  ...["trip", "mesh"].flatMap((way) => ["p50", "p99"].map((quantile) => `awaited.latency.${way}.${quantile}`)),
  "awaited.throughput.mesh.keys",
  ...["codec.packet", "codec.packet.control"],
  ...["publish.pending", "publish.pending.control", "publish.new", "publish.new.control"],
  ...["deliver.unheard", "deliver.prefix", "deliver.others", "deliver.control"],
  ...["deliver.exact", "deliver.exact.map", "deliver.exact.few", "deliver.exact.few.map"],
  ...[8, 64, 256, 1_000].flatMap((length) => ["publish", "deliver"].map((what) => `cost.length.${length}.${what}`)),
  ...[1, 1_000, 1_000_000].map((count) => `cost.subscriptions.${count}`),
  ...[1, 10, 100].flatMap((count) => ["group", "unicast"].map((way) => `cost.peers.${count}.${way}`)),
  ...["memory.peer", "memory.subscription"],
  ...["open.import", "open.import.control", "open.open", "open.open.control"],
  ...[1, 5, 25].flatMap((percent) => [
    ...["hole", "first"].flatMap((which) => ["p50", "p99"].map((of) => `repair.${percent}.${which}.${of}`)),
    ...["noticed", "delivered"].flatMap((what) => ["p50", "max"].map((of) => `repair.${percent}.tail.${what}.${of}`)),
  ]),
  ...["silent.cpu", "silent.cpu.alone", "silent.rss", "silent.rss.alone"],
];

const DROP = ["delivered", "covered", "lost", "ms", "rate"].map((what) => `drop.${what}`);

const INSTALLED = BROKERS.filter((broker) => serverVersion(broker) !== undefined);
const BESIDE = INSTALLED.flatMap((broker) => [
  ...latency(broker),
  ...throughput(broker),
  `awaited.throughput.${broker}.keys`,
  // A server's processor time is read from /proc.
  ...(process.platform === "linux"
    ? ["1to1", "1to4", "4to4"].map((way) => `throughput.${way}.${broker}.serverCpu`)
    : []),
]);

const LEFT_OUT = GROUPS.map(({ name }) => name).filter((name) => !GROUPS_RUN.includes(name));
const EXPECTED = [
  ...RUNTIMES.flatMap((runtime) =>
    [...EACH, ...(unavailable() === undefined ? DROP : [])].map((name) => `${runtime}/${name}`)
  ),
  ...[...BESIDE, "extension.batch", "size.gzipped", "size.minified", "size.diagnosis.gzipped"].map((name) =>
    `node/${name}`
  ),
].filter((name) => !LEFT_OUT.some((group) => name.includes(`/${group}.`)));

// The benchmark starts Deno and Bun by itself, so a run on those would repeat the same.
const skip = process.versions["deno"] ?? process.versions["bun"];

test(
  `npm run bench -- --quick --json prints every figure, on ${RUNTIMES.join(", ")}`,
  { skip: skip === undefined ? false : "the benchmark runs on Node and starts the others itself" },
  async () => {
    const root = fileURLToPath(new URL("../..", import.meta.url));
    const args = [
      "--import",
      "tsx",
      "bench/main.ts",
      "--quick",
      "--json",
      "--runtime",
      RUNTIMES.join(),
      "--only",
      GROUPS_RUN.join(),
    ];
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: root, maxBuffer: 2 ** 24 });
    const report: Report = JSON.parse(stdout);
    assertEquals([report.quick, Object.keys(report.versions)], [true, RUNTIMES]);
    assertEquals(BROKERS.filter((broker) => report.servers[broker] !== null), INSTALLED);
    assertEquals(Object.keys(report.figures).sort(), [...EXPECTED].sort());
    for (const [name, figure] of Object.entries(report.figures)) {
      assertEquals(isSound(figure, report.figures, name), true, JSON.stringify(figure));
    }
    assertEquals(report.targets.map(({ figure }) => EXPECTED.includes(figure)), report.targets.map(() => true));
    assert(report.targets.length > 0);
  },
);

function isSound(figure: Figure, figures: Report["figures"], path: string): boolean {
  const { name, unit, value, low, high, rounds, control, ratio } = figure;
  const inOrder = low <= value && value <= high && rounds > 0 && path.endsWith(`/${name}`);
  if (unit === "share") return inOrder && low >= 0 && high <= 1;
  // These may be 0: differences, and what is counted in ticks of 10 ms.
  if (unit === "bytes" || name.endsWith("serverCpu")) return inOrder && low >= 0;
  const numbers = ratio === undefined ? [low, high] : [low, high, ratio];
  const isPositive = numbers.every((number) => Number.isFinite(number) && number > 0);
  const compared = (control === undefined) === (ratio === undefined);
  const controlled = control === undefined || figures[`${path.split("/")[0]}/${control}`]?.unit === unit;
  return inOrder && isPositive && compared && controlled;
}
