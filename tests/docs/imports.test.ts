// Imports: their direction. `docs/architecture.md` describes the order of the folders.
import { readdirSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { assert, assertEquals, assertGreater } from "@std/assert";
import { type Reference, referencesOf } from "./module_specifiers.ts";

interface Import {
  readonly file: string;
  /** A path from the project's folder, or the specifier itself when it is not relative. */
  readonly target: string;
  readonly kind: Reference["kind"];
}

interface Rule {
  readonly name: string;
  readonly allows: (file: string, target: string, kind: Import["kind"]) => boolean;
}

const ROOT = new URL("../../", import.meta.url);

/** The folders and files of `src`, the lowest first: each imports from itself and from those before it. */
const ORDER = [
  ["src/acknowledgement.ts", "src/errors.ts", "src/close_report.ts", "src/events.ts"],
  ["src/platform/"],
  ["src/wire/"],
  ["src/security/"],
  ["src/net/"],
  ["src/pubsub/"],
  ["src/discovery/"],
  ["src/membership/"],
  ["src/reliability/"],
  ["src/observability/"],
  ["src/observability/diagnosis/"],
  ["src/options.ts", "src/shared_meshes.ts"],
  ["src/lazy_diagnoser.ts"],
  ["src/node_parts.ts"],
  ["src/mesh_bus.ts"],
] as const;

const FOLDERS = ["src", "adapters", "cli", "conformance"] as const;
const DIAGNOSIS = "src/observability/diagnosis";

/** The ports, which adapters implement: they import nothing else. */
const PORTS = ["signal_shape", "clock", "contexts", "datagram_socket", "host", "ports"].map((name) =>
  `src/platform/${name}.ts`
);
/** What adapters import beside the ports: what reads addresses and errors, and checks what callers pass. */
const SHARED = ["endpoint", "error_message", "known_options", "abort_signal"].map((name) => `src/platform/${name}.ts`);

const RULES: readonly Rule[] = [
  {
    name: "src imports neither a runtime, nor a package, nor an adapter",
    allows: (file, target) => !isIn("src", file) || isIn("src", target),
  },
  {
    name: "the folders of src import down only, in the order of docs/architecture.md",
    allows: (file, target) => !isIn("src", file) || !isIn("src", target) || level(target) <= level(file),
  },
  {
    name: "what is imported from src, adapters and cli is a file there, and one of src is in the order",
    allows: (_, target) =>
      !FOLDERS.some((folder) => isIn(folder, target)) ||
      (files.includes(target) && (!isIn("src", target) || level(target) >= 0)),
  },
  {
    name: "src imports diagnosis only by await import, so that programs that never diagnose do not load it",
    allows: (file, target, kind) =>
      kind !== "static" || !isIn("src", file) || isIn(DIAGNOSIS, file) || !isIn(DIAGNOSIS, target),
  },
  {
    name: "ports import ports only",
    allows: (file, target) => !PORTS.includes(file) || PORTS.includes(target),
  },
  {
    name: "what adapters share with src imports ports and errors only",
    allows: (file, target) => !SHARED.includes(file) || [...PORTS, "src/errors.ts"].includes(target),
  },
  {
    name: "adapters import ports, adapters, what they share with src, and node: modules",
    allows: (file, target) =>
      !isIn("adapters", file) || isIn("adapters", target) || target.startsWith("node:") ||
      [...PORTS, ...SHARED].includes(target),
  },
  {
    name: "mod.ts imports src and adapters only",
    allows: (file, target) => file !== "mod.ts" || isIn("src", target) || isIn("adapters", target),
  },
  {
    name: "the command line imports these and node: modules",
    allows: (file, target) => !isIn("cli", file) || files.includes(target) || target.startsWith("node:"),
  },
  {
    name: "the conformance suite imports itself, and types of src: it needs nothing to run",
    allows: (file, target, kind) =>
      !isIn("conformance", file) || isIn("conformance", target) || (kind === "type" && isIn("src", target)),
  },
  {
    name: "nothing but the conformance suite imports it",
    allows: (file, target) => isIn("conformance", file) || !isIn("conformance", target),
  },
  {
    name: "nothing but the command line imports the command line",
    allows: (file, target) => isIn("cli", file) || !isIn("cli", target),
  },
];

const allFiles = FOLDERS.flatMap(filesIn);
const files = ["mod.ts", ...allFiles.filter((file) => file.endsWith(".ts"))];
const texts = new Map(files.map((file) => [file, readFileSync(new URL(file, ROOT), "utf8")]));
const imports = [...texts].flatMap(([file, text]) => importsOf(file, text));

describe("imports", () => {
  test("are found", () => {
    assertGreater(files.length, 100);
    assertGreater(imports.length, 400);
    assertEquals(files.filter((file) => isIn("src", file) && level(file) < 0), [], "a file in no folder of the order");
  });

  test("are as many as lines that end with a specifier, which is how `deno fmt` leaves them", () => {
    for (const [file, text] of texts) {
      const lines = text.match(/^(?!\s*\*).*\bfrom "[^"]+";$|^import "[^"]+";$|^(?!\s*\*).*[ (]import\("[^"]+"\)/gm) ??
        [];
      assertEquals(importsOf(file, text).length, lines.length, file);
    }
  });

  test("have forms that can be read", () => {
    assertEquals([...texts].flatMap(([file, text]) => formFaults(file, text)), []);
  });

  test(`are of files that end in .ts: ${FOLDERS.join(", ")} have no other code`, () => {
    assertEquals(notTypeScript(allFiles), []);
    assertEquals(notTypeScript(["src/a.ts", "src/b.js", "cli/c.mts", "adapters/d.cts", "src/wire/README.md"]), [
      "src/b.js",
      "cli/c.mts",
      "adapters/d.cts",
    ]);
  });

  for (const rule of RULES) {
    test(`keep the rule: ${rule.name}`, () => {
      assertEquals(breaches(rule, imports), []);
    });
  }

  test("make no cycle", () => {
    assertEquals(files.filter((file) => reached(file).has(file)), []);
  });

  test("that break a rule are found, each by its rule", () => {
    const wrong: ReadonlyArray<readonly [file: string, code: string, rule: string]> = [
      ["src/wire/packet.ts", 'import { Pacer } from "../net/pacer.ts";', "down only"],
      ["src/net/pacer.ts", 'import type { Settings } from "../options.ts";', "down only"],
      ["src/membership/peer.ts", 'export type { Finding } from "../observability/diagnosis/finding.ts";', "down only"],
      ["src/observability/metrics.ts", 'const x = await import("./diagnosis/diagnose.ts");', "down only"],
      ["src/mesh_bus.ts", 'import { findings } from "./observability/diagnosis/findings.ts";', "only by await import"],
      ["src/mesh_bus.ts", 'export * from "./observability/diagnosis/findings.ts";', "only by await import"],
      ["src/mesh_bus.ts", 'import "./observability/diagnosis/findings.ts";', "only by await import"],
      ["src/net/pacer.ts", 'import { setTimeout } from "node:timers";', "neither a runtime"],
      ["src/platform/clock.ts", 'import { misuse } from "../errors.ts";', "ports import ports only"],
      ["adapters/deno.ts", 'import { Pacer } from "../src/net/pacer.ts";', "adapters import ports"],
      ["mod.ts", 'import { main } from "./cli/program.ts";', "nothing but the command line"],
      ["conformance/kit.ts", 'import { test } from "node:test";', "needs nothing to run"],
      ["conformance/kit.ts", 'import { misuse } from "../src/errors.ts";', "needs nothing to run"],
      ["mod.ts", 'export { rulesFor } from "./conformance/mod.ts";', "but the conformance suite"],
      ["src/mesh_bus.ts", 'import { madeUp } from "./made_up.ts";', "is in the order"],
      ["src/mesh_bus.ts", 'import { Pacer } from "./net/pacer.js";', "is a file there"],
      ["src/mesh_bus.ts", 'import { Pacer } from "./net/pacer.ts?again";', "is a file there"],
      ["src/mesh_bus.ts", 'import { Pacer } from "./net%2Fpacer.ts";', "is a file there"],
      ["adapters/node.ts", 'import { madeUp } from "../src/platform/made_up.ts";', "is a file there"],
    ];
    for (const [file, code, name] of wrong) {
      const found = brokenRules(file, code);
      assert(found.some((rule) => rule.includes(name)), `${code} in ${file}: ${found.join("; ")}`);
    }
  });

  test("that break a rule are found in every form that the language has", () => {
    const target = '"../mesh_bus.ts"';
    const forms: readonly string[] = [
      `import {\n  Pacer, // the node's (own) one; it's enough\n} from ${target};`,
      `export {\n  Pacer, // the node's (own) one; it's enough\n} from ${target};`,
      `const open = "/*";\nimport { Pacer } from ${target};\nconst close = "*/";`,
      `const open = \`/*\`;\nimport { Pacer } from ${target};\nconst close = /\\*\\//;`,
      `const quote = /["'\`]/;\nimport { Pacer } from ${target};`,
      `const half = of.length / 2;\nimport { Pacer } from ${target};\nconst third = 1 / 3;`,
      `const half = this.in / 2;\nimport { Pacer } from ${target};\nconst third = 1 / 3;`,
      `const text = \`\${{ a: \`}\` }.a} import\`;\nimport { Pacer } from ${target};`,
      `import { "x y" as a } from ${target};`,
      `export { a as "x y" } from ${target};`,
      `export * as "x y" from ${target};`,
      `export * from ${target};`,
      `import all, * as rest from ${target};`,
      `import type from ${target};`,
      `import type { Pacer } from ${target};`,
      `import { type Pacer } from ${target};`,
      `import data from ${target} with { type: "json" };`,
      "import{Pacer}from'../mesh_bus.ts'",
      'import "../mesh\\u005fbus.ts";',
      `const text = \`\${await import(${target})}\`;`,
      `await import( /* it's late */ ${target});`,
      `type Mesh = typeof import(${target});`,
    ];
    for (const code of forms) {
      const found = brokenRules("src/net/pacer.ts", code);
      assert(found.some((rule) => rule.includes("down only")), `${code}: ${found.join("; ")}`);
    }
    assertEquals(importsOf("src/a.ts", `import type from ${target};\nimport type, { a } from ${target};`), [
      { file: "src/a.ts", target: "mesh_bus.ts", kind: "static" },
      { file: "src/a.ts", target: "mesh_bus.ts", kind: "static" },
    ]);
    assertEquals(importsOf("src/wire/a.ts", `export type { A } from ${target};\ntype M = typeof import(${target});`), [
      { file: "src/wire/a.ts", target: "src/mesh_bus.ts", kind: "type" },
      { file: "src/wire/a.ts", target: "src/mesh_bus.ts", kind: "type" },
    ]);
  });

  test("that are none are not found", () => {
    const code = [
      '// import { a } from "./a.ts";',
      '/* import "./a.ts"; */',
      "const text = 'import \"./a.ts\"';",
      'const template = `import "./a.ts"; ${import.meta.url} require("a")`;',
      'options.import("./a.ts"); options.export("./a.ts"); const names = { import: "./a.ts", export: "./a.ts" };',
      'export { text, template };\n"./a.ts";',
      'export const from = "./a.ts";',
      "export type Import = typeof text;",
    ].join("\n");
    assertEquals(importsOf("src/a.ts", code), []);
    assertEquals(formFaults("src/a.ts", code), []);
  });

  test("in a form that cannot be read are found", () => {
    const wrong: ReadonlyArray<readonly [code: string, rule: string]> = [
      ["await import(`../mesh_bus.ts`);", "import() has one plain string"],
      ["await import(name);", "import() has one plain string"],
      ['await import("../mesh" + "_bus.ts");', "import() has one plain string"],
      ['await import("../mesh_bus.ts", options);', "import() has one plain string"],
      ['require("../mesh_bus.ts");', "nothing calls require()"],
      ["module.require(`../mesh_bus.ts`);", "nothing calls require()"],
      ['import mesh = require("../mesh_bus.ts");', "nothing calls require()"],
      ["import Bus = mesh.Bus;", "import has a known form"],
      ['import.defer("../mesh_bus.ts");', "import has a known form"],
      ['/// <reference path="../mesh_bus.ts" />', "no comment refers to a file or a library"],
      ['///<reference types="node" />', "no comment refers to a file or a library"],
      ["const text = `${1", "the file closes its braces"],
      ["const text = 'open", "the file has whole tokens"],
      ["const text = `open", "the file has whole tokens"],
    ];
    for (const [code, rule] of wrong) {
      assert(formFaults("src/net/pacer.ts", code).includes(`src/net/pacer.ts breaks the rule: ${rule}`), code);
    }
  });
});

/** The position of a file of `src` in the order; -1 for none. */
function level(file: string): number {
  return ORDER.findLastIndex((places) =>
    places.some((place) => place === file || (place.endsWith("/") && file.startsWith(place)))
  );
}

function isIn(folder: string, path: string): boolean {
  return path.startsWith(`${folder}/`);
}

function breaches({ allows }: Rule, among: readonly Import[]): string[] {
  return among.filter(({ file, target, kind }) => !allows(file, target, kind)).map(({ file, target }) =>
    `${file} → ${target}`
  );
}

/** All files under a folder: those names that have an ending. */
function filesIn(folder: string): string[] {
  return readdirSync(new URL(folder, ROOT), { recursive: true, encoding: "utf8" })
    .filter((name) => /\.\w+$/.test(name))
    .map((name) => `${folder}/${name.replaceAll("\\", "/")}`);
}

/** The files that are neither TypeScript nor a page. */
function notTypeScript(among: readonly string[]): string[] {
  return among.filter((file) => !file.endsWith(".ts") && !file.endsWith("/README.md"));
}

function importsOf(file: string, text: string): Import[] {
  return referencesOf(text).references.map(({ specifier, kind }) => {
    const target = specifier.startsWith(".") ? pathFrom(file, specifier) : specifier;
    return { file, target, kind };
  });
}

function formFaults(file: string, text: string): string[] {
  return referencesOf(text).faults.map((rule) => `${file} breaks the rule: ${rule}`);
}

/** The names of the rules that a text breaks as that file. */
function brokenRules(file: string, code: string): string[] {
  return RULES.filter((rule) => breaches(rule, importsOf(file, code)).length > 0).map((rule) => rule.name);
}

function pathFrom(file: string, specifier: string): string {
  return new URL(specifier, new URL(file, ROOT)).href.slice(ROOT.href.length);
}

function reached(start: string): ReadonlySet<string> {
  const found = new Set<string>();
  const open = [start];
  for (let file = open.pop(); file !== undefined; file = open.pop()) {
    for (const { target } of imports.filter((item) => item.file === file)) {
      if (!found.has(target)) open.push(target);
      found.add(target);
    }
  }
  return found;
}
