// The benchmark runs and says what it should. Its figures depend on the machine, so nothing here holds one to a limit.
import { execFile } from "node:child_process";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { assert, assertEquals } from "@std/assert";
import { unavailable } from "./support/netns.ts";

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
  readonly targets: readonly { readonly figure: string; readonly value: number; readonly met: boolean }[];
  readonly figures: Readonly<Record<string, Figure>>;
}

const EACH = [
  ...["ascii", "wide"].flatMap((kind) =>
    ["encode", "decode"].flatMap((step) => [`codec.${step}.${kind}`, `codec.${step}.${kind}.control`])
  ),
  ...["codec.packet", "codec.packet.control"],
  ...["publish.pending", "publish.pending.control", "publish.new", "publish.new.control"],
  ...["deliver.unheard", "deliver.prefix", "deliver.others", "deliver.control"],
  ...["deliver.exact", "deliver.exact.map", "deliver.exact.few", "deliver.exact.few.map"],
  ...["held.prefix", "held.exact", "full.prefix", "full.exact", "bare"].flatMap((how) =>
    ["delivered", "sent", "loss"].map((what) => `throughput.${how}.${what}`)
  ),
  ...["full.prefix", "full.exact", "bare"].flatMap((how) =>
    ["sendCpu", "receiveCpu"].map((what) => `throughput.${how}.${what}`)
  ),
  "throughput.bare.datagrams",
  ...["unicast", "both"].flatMap((how) => ["delivered", "loss", "missing"].map((what) => `fullspeed.${how}.${what}`)),
  "fullspeed.bare.delivered",
  ...["latency.mesh.p50", "latency.mesh.p99", "latency.bare.p50", "latency.bare.p99"],
  ...["hole", "first"].flatMap((which) => [`repair.${which}.p50`, `repair.${which}.p99`]),
  ...["noticed", "delivered"].flatMap((what) => [`repair.tail.${what}.p50`, `repair.tail.${what}.max`]),
  ...["silent.cpu", "silent.cpu.alone", "silent.rss", "silent.rss.alone"],
];

const DROP = ["delivered", "covered", "lost", "ms", "rate"].map((what) => `drop.${what}`);

const EXPECTED = [
  ...["node", "deno", "bun"].flatMap((runtime) =>
    [...EACH, ...(unavailable() === undefined ? DROP : [])].map((name) => `${runtime}/${name}`)
  ),
  ...["node/extension.batch", "node/size.gzipped", "node/size.minified"],
];

// The benchmark starts Deno and Bun by itself, so what they would run here is the same again.
const skip = process.versions["deno"] ?? process.versions["bun"];

test(
  "npm run bench -- --quick --json prints every figure, on Node, Deno and Bun",
  { skip: skip === undefined ? false : "the benchmark runs on Node and starts the others itself" },
  async () => {
    const root = fileURLToPath(new URL("..", import.meta.url));
    const args = ["--import", "tsx", "bench/main.ts", "--quick", "--json"];
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: root, maxBuffer: 2 ** 24 });
    const report: Report = JSON.parse(stdout);
    assertEquals([report.quick, Object.keys(report.versions)], [true, ["node", "deno", "bun"]]);
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
  // How much more than nothing it is.
  if (unit === "datagrams" || unit === "bytes") return inOrder && low >= 0;
  const numbers = ratio === undefined ? [low, high] : [low, high, ratio];
  const isPositive = numbers.every((number) => Number.isFinite(number) && number > 0);
  const compared = (control === undefined) === (ratio === undefined);
  const controlled = control === undefined || figures[`${path.split("/")[0]}/${control}`]?.unit === unit;
  return inOrder && isPositive && compared && controlled;
}
