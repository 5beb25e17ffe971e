// Manifests: package.json, jsr.json and deno.json agree on the package.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { assert, assertEquals, assertFalse, assertMatch } from "@std/assert";
import { filesUnder } from "../../scripts/runtimes.ts";

interface NpmManifest {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  readonly type: string;
  readonly engines: { readonly node: string };
  readonly bin: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>;
  readonly dependencies?: unknown;
  readonly peerDependencies?: unknown;
  readonly optionalDependencies?: unknown;
  readonly homepage: string;
  readonly repository: unknown;
  readonly bugs: unknown;
  readonly publishConfig: unknown;
  readonly files: readonly string[];
  readonly scripts: Readonly<Record<string, string>>;
}

interface JsrManifest {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  readonly exports: Readonly<Record<string, string>>;
  readonly publish: { readonly include: readonly string[] };
}

const npm = read<NpmManifest>("package.json");
const jsr = read<JsrManifest>("jsr.json");
const deno = read<Readonly<Record<string, unknown>>>("deno.json");
const workflows = new URL("../../.github/workflows/", import.meta.url);

describe("manifests", () => {
  test("agree on name, version and licence", () => {
    assertEquals([npm.name, npm.version, npm.license], [jsr.name, jsr.version, jsr.license]);
    assertMatch(npm.version, /^\d+\.\d+\.\d+$/);
  });

  test("export the same modules, npm as built files with their types first", () => {
    const modules = Object.entries(npm.exports).filter(([path]) => path !== "./package.json");
    assertEquals(modules.map(([path]) => path), Object.keys(jsr.exports));
    for (const [path, target] of modules) {
      const built = jsr.exports[path]?.replace(/^\.\/(.*)\.ts$/, "./dist/$1") ?? "";
      assertEquals(target, { types: `${built}.d.ts`, default: `${built}.js` });
      assertEquals(typeof target === "string" ? [] : Object.keys(target), ["types", "default"]);
    }
  });

  test("export modules that exist, one per adapter, and the program", () => {
    for (const [path, module] of Object.entries(jsr.exports)) {
      assert(existsSync(new URL(`../../${module}`, import.meta.url)), `${path} is ${module}, which does not exist`);
    }
    assertEquals(Object.keys(jsr.exports), [
      ".",
      "./node",
      "./bun",
      "./deno",
      "./memory",
      "./auto",
      "./conformance",
      "./cli",
    ]);
  });

  test("have one program, which npx runs by the name of the package", () => {
    assertEquals(Object.values(npm.bin), [npm.exports["./cli"]].map((target) => `${Object(target).default}`.slice(2)));
    const [line] = readFileSync(new URL("../../cli/main.ts", import.meta.url), "utf8").split("\n");
    assertEquals(line, "#!/usr/bin/env node");
  });

  test("have no dependency at run time", () => {
    assertEquals([npm.dependencies, npm.peerDependencies, npm.optionalDependencies], [undefined, undefined, undefined]);
    assertEquals([npm.type, npm.engines.node], ["module", ">=20"]);
  });

  test("leave the package's name out of deno.json", () => {
    // With a name in it, `deno publish` would use deno.json as the package and ignore jsr.json.
    for (const field of ["name", "version", "exports", "unstable"]) assertFalse(field in deno, field);
  });
});

describe("publishing", () => {
  test("names one repository, and lets a scoped package be public", () => {
    const repository = "https://github.com/warp-mesh/bus";
    assertEquals(npm.repository, { type: "git", url: `git+${repository}.git` });
    assertEquals([npm.homepage, npm.bugs], [`${repository}#readme`, { url: `${repository}/issues` }]);
    assertEquals(npm.publishConfig, { access: "public" });
  });

  test("uses actions by their full commit, with the version beside it, and grants only reading", () => {
    for (const name of readdirSync(workflows)) {
      const text = workflow(name);
      const uses = text.split("\n").filter((line) => /\buses: (?!\.\/)/.test(line));
      assert(uses.length > 0, name);
      for (const line of uses) assertMatch(line, /uses: [\w-]+\/[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/, name);
      assertMatch(text, /^permissions:\n {2}contents: read\n\n/m, name);
      if (name !== "release.yml") assertFalse(/: write\b/.test(text), name);
    }
  });

  test("gives each job of a release no more than it needs, after the checks of every change", () => {
    const jobs = workflow("release.yml").split(/^jobs:$/m)[1]?.split(/^ {2}(?=\w+:$)/m).slice(1) ?? [];
    const of = (pattern: RegExp) =>
      Object.fromEntries(jobs.map((job) => [job.split(":")[0], Array.from(job.matchAll(pattern), ([, text]) => text)]));
    assertEquals(of(/^ +(\S+: write)\b/gm), {
      ci: [],
      pack: [],
      npm: ["id-token: write"],
      jsr: ["id-token: write"],
      github: ["contents: write"],
    });
    assertEquals(of(/^ {4}(?:needs|uses): (.*)$/gm), {
      ci: ["./.github/workflows/ci.yml"],
      pack: [],
      npm: ["[ci, pack]"],
      jsr: ["[ci, pack]"],
      github: ["[npm, jsr]"],
    });
    // No script of a dependency runs in a job that may write.
    for (const job of jobs.filter((text) => text.includes(": write"))) {
      assertFalse(/npm (?:ci|install)(?! --ignore-scripts)/.test(job), job);
    }
    assertMatch(workflow("ci.yml"), /^ {2}workflow_call:$/m);
  });

  test("includes the same documents on npm and JSR: those for users", () => {
    const brought = (list: readonly string[]) => list.filter((path) => path.endsWith(".md")).sort();
    // npm adds README and LICENSE by itself.
    assertEquals(brought([...npm.files, "README.md"]), brought(jsr.publish.include));
    const developers = ["docs/architecture.md", "docs/performance.md", "docs/wire.md"];
    const users = filesUnder("docs", ".md").filter((path) => !developers.includes(path));
    assertEquals(brought(npm.files), ["CHANGELOG.md", "SECURITY.md", ...users].sort());
  });

  test("keeps the changelog in the form of Keep a Changelog", () => {
    const text = readFileSync(new URL("../../CHANGELOG.md", import.meta.url), "utf8");
    const headings = text.split("\n").filter((line) => line.startsWith("## "));
    const names = headings.map((heading) => /^## \[([^\]]+)\]/.exec(heading)?.[1]);
    assert(headings.length > 0);
    for (const heading of headings) {
      assertMatch(heading, /^## (?:\[Unreleased\]|\[\d+\.\d+\.\d+\] - \d{4}-\d{2}-\d{2})$/);
    }
    const references = Array.from(text.matchAll(/^\[([^\]]+)\]: https:\/\/github\.com\/\S+$/gm), ([, name]) => name);
    assertEquals(references, names);
    assert(names.includes("Unreleased") || names.includes(npm.version));
  });

  test("has a workflow that runs all tests with network namespaces", () => {
    const sources = filesUnder("tests", ".test.ts");
    const textOf = (file: string) => readFileSync(new URL(`../../${file}`, import.meta.url), "utf8");
    const takesOneOf = (...names: readonly string[]) =>
      sources.filter((file) =>
        names.some((name) => new RegExp(`from "[./]*(?:hosts/)?support/${name}.ts"`).test(textOf(file)))
      );
    const chosenBy = (script: string) => {
      const paths = (npm.scripts[script] ?? "").split(" ").filter((word) => word.startsWith("tests/"));
      return sources.filter((file) => paths.some((path) => file.startsWith(path)));
    };
    assertEquals(chosenBy("hosts"), takesOneOf("namespace", "netns"));
    // The others start programs on all runtimes by themselves.
    const isOfRuntime = (file: string) =>
      takesOneOf("namespace").includes(file) || file.startsWith("tests/hosts/deno_");
    assertEquals(chosenBy("hosts:runtimes"), chosenBy("hosts").filter(isOfRuntime));
    assertMatch(workflow("ci.yml"), / npm run hosts$/m);
    assertMatch(workflow("ci.yml"), / npm run hosts:runtimes$/m);
  });
});

describe("deployment recipes", () => {
  const folder = new URL("../../examples/deploy/", import.meta.url);
  const textOf = (name: string) => readFileSync(new URL(name, folder), "utf8");
  const recipes = readdirSync(folder).sort();
  const kindsOf = (name: string) => Array.from(textOf(name).matchAll(/^kind: (\w+)$/gm), ([, kind]) => kind);

  test("are exactly the files that deployment.md names", () => {
    const deployment = readFileSync(new URL("../../docs/deployment.md", import.meta.url), "utf8");
    const named = Array.from(
      deployment.matchAll(/\]\(https:\S*\/main\/examples\/deploy\/(\S+?)\)/g),
      ([, name]) => name,
    );
    assertEquals(named.sort(), recipes);
  });

  test("have the network policy in a file of its own, as it would cut off all but the mesh", () => {
    assertEquals(kindsOf("kubernetes.yaml"), ["Service", "Deployment"]);
    assertEquals(kindsOf("kubernetes_network_policy.yaml"), ["NetworkPolicy"]);
  });

  test("select pods by a label that they have", () => {
    const pods = textOf("kubernetes.yaml");
    const [, label = ""] = /clusterIP: None\n[^]*?\n {2}selector:\n {4}(.*)\n/.exec(pods) ?? [];
    const [, labels = ""] = /\n {6}labels:\n((?: {8}.*\n)+)/.exec(pods) ?? [];
    assertEquals([label, labels.includes(` ${label}\n`)], ["warp-mesh: cache", true]);
    const policy = textOf("kubernetes_network_policy.yaml");
    const selected = Array.from(policy.matchAll(/matchLabels:\n *(.*)\n/g), ([, text]) => text);
    assertEquals(selected, [label, label, label]);
  });

  test("use the default port", () => {
    for (const name of recipes) {
      const ports = Array.from(textOf(name).matchAll(/[pP]ort: (\d+)|:(\d+)\b/g), ([, a, b]) => Number(a ?? b));
      assert(ports.length > 0, name);
      assertEquals([...new Set(ports)].filter((port) => ![7946, 53, 1].includes(port)), [], name);
    }
  });
});

function read<T>(manifest: string): T {
  return JSON.parse(readFileSync(new URL(`../../${manifest}`, import.meta.url), "utf8"));
}

function workflow(name: string): string {
  return readFileSync(new URL(name, workflows), "utf8");
}
