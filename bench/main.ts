/**
 * Benchmark runner: measures the mesh on this Node, Deno and Bun, with its controls.
 *
 *     npm run bench                         all groups, about twelve minutes
 *     npm run bench -- --only latency,idle  some of the groups, which `README.md` lists
 *     npm run bench -- --runtime node,bun   on some of the runtimes: node, deno, bun
 *     npm run bench -- --quick              the same with few samples, to see that it works
 *     npm run -s bench -- --json            one JSON document on standard output
 *     npm run bench -- --docs               writes the figures into docs/performance.md
 *     npm run bench -- --from FILE          shows, or writes, what `--json` has printed, and measures nothing
 *
 * `README.md` beside this file says what the figures mean.
 *
 * @module
 */

import { readFileSync } from "node:fs";
import { availableParallelism, cpus, loadavg, release } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { ROOT } from "../scripts/runtimes.ts";
import { writeDocs } from "./performance_docs.ts";
import type { BenchDocument } from "./bench_document.ts";
import type { Figure } from "./figures.ts";
import { figuresOf, type Group, GROUPS, type Runtime, RUNTIMES, versionOf } from "./groups.ts";
import { report } from "./report.ts";
import { BROKERS, serverVersion } from "./servers.ts";
import { outcomes, TARGETS } from "./targets.ts";

const USAGE = `Usage: npm run bench -- [--only GROUP,...] [--runtime NAME,...] [--quick] [--json] [--docs] [--from FILE]
Groups: ${GROUPS.map(({ name }) => name).join(", ")}; bench/README.md says what they are.`;

const { values } = read();
if (values.help) {
  console.log(USAGE);
  process.exit();
}
const runtimes = chosen(RUNTIMES, "--runtime", values.runtime);
const groups = chosen(GROUPS, "--only", values.only);

const document: BenchDocument = values.from === undefined
  ? await measure()
  : JSON.parse(readFileSync(values.from, "utf8"));
if (values.docs) await writeDocs(document);
if (values.json) console.log(JSON.stringify(document, null, 2));
else if (!values.docs) console.log(report(document));

async function measure(): Promise<BenchDocument> {
  // It shows whether other processes were busy: the benchmark itself keeps about two cores busy.
  const loadBefore = loadavg()[0] ?? 0;
  const start = performance.now();
  const figures = await measureAll();
  const { name, version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
  return {
    package: `${name}@${version}`,
    quick: values.quick,
    date: new Date().toISOString().slice(0, 10),
    seconds: (performance.now() - start) / 1000,
    machine: {
      os: `${process.platform} ${release()} ${process.arch}`,
      processor: cpus()[0]?.model ?? "unknown",
      cores: availableParallelism(),
      loadBefore,
    },
    versions: Object.fromEntries(runtimes.map((runtime) => [runtime.name, versionOf(runtime)])),
    servers: Object.fromEntries(BROKERS.map((broker) => [broker, serverVersion(broker) ?? null])),
    targets: outcomes(TARGETS, figures),
    figures,
  };
}

async function measureAll(): Promise<Record<string, Figure>> {
  // The processes of a group end when the group does.
  const abort = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => {
      abort.abort();
      process.exit(1);
    });
  }
  const figures: Record<string, Figure> = {};
  for (const group of groups) {
    const on = runtimes.filter(({ name }) => group.on.includes(name));
    const take = async (runtime: Runtime) => {
      const begin = performance.now();
      for (const found of await figuresOf(runtime, group, values.quick, abort.signal)) {
        figures[`${runtime.name}/${found.name}`] = found;
      }
      process.stderr.write(`${runtime.name} ${group.name}: ${((performance.now() - begin) / 1000).toFixed(1)} s\n`);
    };
    if (group.atOnce) await Promise.all(on.map(take));
    else for (const runtime of on) await take(runtime);
  }
  return figures;
}

/** The items of the list that `text` names, separated by commas; all when it is absent. */
function chosen<Item extends Runtime | Group>(list: readonly Item[], option: string, text?: string): readonly Item[] {
  if (text === undefined) return list;
  const names = text.split(",");
  const known = list.map(({ name }) => name);
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined) refuse(`${option} knows ${known.join(", ")}: it was ${unknown}`);
  return list.filter(({ name }) => names.includes(name));
}

function read() {
  try {
    return parseArgs({
      options: {
        help: { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        quick: { type: "boolean", default: false },
        docs: { type: "boolean", default: false },
        from: { type: "string" },
        only: { type: "string" },
        runtime: { type: "string" },
      },
    });
  } catch (error) {
    return refuse((error as Error).message);
  }
}

function refuse(why: string): never {
  console.error(`${why}\n\n${USAGE}`);
  process.exit(2);
}
