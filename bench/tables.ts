/**
 * Tables of `docs/performance.md`, by the names of their blocks.
 *
 * @module
 */

import type { BenchDocument } from "./bench_document.ts";
import type { Figure } from "./figures.ts";
import { amount } from "./report.ts";

type Table = (document: BenchDocument) => string | undefined;
type Row = readonly [label: string, ...figures: string[]];

const RATES = [5, 50, 500, 5_000, 50_000];
const BESIDE = { bare: "bare socket", mesh: "this mesh", redis: "Redis", nats: "NATS" };
const ON = ["node", "deno", "bun"];

export const TABLES: Readonly<Record<string, Table>> = {
  machine({ package: name, quick, date, machine, versions, servers }) {
    const beside = Object.entries(servers).map(([server, version]) =>
      version === null ? `no ${server}-server, so its columns are empty` : `${server}-server ${version}`
    );
    const of = Object.entries(versions).map(([runtime, version]) => `${runtime} ${version}`);
    const { processor, cores, os, loadBefore } = machine;
    const warning = quick ? "**Of a quick run, which shows that it works and no more.** " : "";
    return `${warning}${name} on ${date}: ${processor}, ${cores} cores, ${os}; ${[...of, ...beside].join(", ")}. ` +
      `The load average before it was ${loadBefore.toFixed(2)}.`;
  },
  latency: table(
    ["keys/s", ...Object.values(BESIDE)],
    RATES.map((rate) => [String(rate), ...Object.keys(BESIDE).map((bus) => `node/latency.${rate}.${bus}`)]),
    quantiles,
  ),
  latency_runtimes: table(
    ["keys/s", "Node", "Deno", "Bun"],
    RATES.map((rate) => [String(rate), ...ON.map((runtime) => `${runtime}/latency.${rate}.mesh`)]),
    quantiles,
  ),
  idle: table(
    ["idle mesh", "Node", "Deno", "Bun"],
    [["mesh", "mesh"], ["bare socket", "bare"]].map(([label = "", bus]) => [label, ...each(`idle.${bus}`)]),
    quantiles,
  ),
  throughput: table(
    ["Node", "1 to 1", "1 to 4", "4 to 4"],
    [
      ["bare socket, datagrams only", "bare"],
      ["bare loop", "loop"],
      ["mesh by default", "mesh"],
      ["mesh set up for it", "filled"],
      ["the same, 100,000 subscriptions", "exact"],
      ["Redis", "redis"],
      ["NATS", "nats"],
    ].map(([label = "", bus]) => [
      label,
      ...["1to1", "1to4", "4to4"].map((way) => `node/throughput.${way}.${bus}.keys`),
    ]),
  ),
  throughput_runtimes: table(["1 to 1", "Node", "Deno", "Bun"], [
    ["bare loop", ...each("throughput.1to1.loop.keys")],
    ["mesh by default", ...each("throughput.1to1.mesh.keys")],
    ["mesh set up for it", ...each("throughput.1to1.filled.keys")],
  ]),
  awaited: table(
    ["awaited", "Node", "Deno", "Bun"],
    [
      ["round trip by plain publishes, p50, ms", ...each("awaited.latency.trip.p50")],
      ["`publishAndAwait` with 2 replicas, p50, ms", ...each("awaited.latency.mesh.p50")],
      ["the same, p99, ms", ...each("awaited.latency.mesh.p99")],
      ["1,000 in flight, keys a second", ...each("awaited.throughput.mesh.keys")],
      ["Redis, with a reply channel", "node/awaited.throughput.redis.keys"],
      ["NATS, by its requests", "node/awaited.throughput.nats.keys"],
    ],
  ),
  cpu: table(
    ["ms for a million keys, Node", "publisher", "subscriber", "server"],
    [
      ["bare loop", "loop"],
      ["mesh by default", "mesh"],
      ["mesh set up for it", "filled"],
      ["Redis", "redis"],
      ["NATS", "nats"],
    ].map(([label = "", bus]) => [
      label,
      ...["publisherCpu", "subscriberCpu", "serverCpu"].map((what) => `node/throughput.1to1.${bus}.${what}`),
    ]),
  ),
  repair: table(
    ["loss", "Node", "Deno", "Bun"],
    [1, 5, 25].flatMap((percent): Row[] => [
      [`${percent} %, in a stream, p50`, ...each(`repair.${percent}.hole.p50`)],
      [`${percent} %, in a stream, p99`, ...each(`repair.${percent}.hole.p99`)],
      [`${percent} %, the last of a stream, longest`, ...each(`repair.${percent}.tail.delivered.max`)],
    ]),
  ),
  cost: table(["ns a key", "Node", "Deno", "Bun"], [
    ...[8, 64, 256, 1000].flatMap((length): Row[] => [
      [`publish, ${length} bytes`, ...each(`cost.length.${length}.publish`)],
      [`deliver, ${length} bytes`, ...each(`cost.length.${length}.deliver`)],
    ]),
    ...[1, 1_000, 1_000_000].map((count): Row => [
      `deliver, ${count} subscriptions`,
      ...each(`cost.subscriptions.${count}`),
    ]),
    ...[1, 10, 100, 1_000].flatMap((count): Row[] => [
      [`publish, ${count} peers by the group`, ...each(`cost.peers.${count}.group`)],
      [`publish, ${count} peers by unicast`, ...each(`cost.peers.${count}.unicast`)],
    ]),
  ]),
  footprint: table(["", "Node", "Deno", "Bun"], [
    ["bytes a peer", ...each("memory.peer")],
    ["bytes a subscription", ...each("memory.subscription")],
    ["processor share for 1,000 silent peers, %", ...each("silent.cpu")],
    ["import, ms", ...each("open.import")],
    ["open, ms", ...each("open.open")],
  ]),
  targets: ({ targets }) =>
    markdown(
      ["", "figure", "value", "limit"],
      targets.map(({ met, figure, value, atMost, atLeast, of }) => [
        met ? "met" : "**missed**",
        `\`${figure}\``,
        String(Number(value.toPrecision(3))),
        `at ${atMost === undefined ? "least" : "most"} ${atMost ?? atLeast}${of === undefined ? "" : ` × \`${of}\``}`,
      ]),
    ),
};

function each(figure: string): string[] {
  return ON.map((runtime) => `${runtime}/${figure}`);
}

/** A table; `undefined` when none of its figures was measured. */
function table(head: readonly string[], rows: readonly Row[], cell: Cell = single): Table {
  return (document) => {
    const lines = rows.map(([label, ...figures]) => [label, ...figures.map((figure) => cell(document, figure))]);
    return lines.every(([, ...cells]) => cells.every((text) => text === "")) ? undefined : markdown(head, lines);
  };
}

type Cell = (document: BenchDocument, figure: string) => string;

function single({ figures }: BenchDocument, name: string): string {
  const found = figures[name];
  if (found === undefined) return "";
  const { value, low, high, unit, rounds } = found;
  return rounds < 2 ? amount(value, unit) : `${amount(value, unit)} (${amount(low, unit)}–${amount(high, unit)})`;
}

/** The median, the 99th and if measured the 99.9th percentile. */
function quantiles({ figures }: BenchDocument, name: string): string {
  const found = ["p50", "p99", "p999"].map((quantile): Figure | undefined => figures[`${name}.${quantile}`]);
  return found.flatMap((each) => each === undefined ? [] : [amount(each.value, each.unit)]).join(" / ");
}

function markdown(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map((_, i) => i === 0 ? "---" : "--:")), ...rows.map(line)].join("\n");
}
