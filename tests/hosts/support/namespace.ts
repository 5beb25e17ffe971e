// Network namespaces: runs a program in one, or gives the reason why none can be made.
import { spawn, spawnSync } from "node:child_process";
import process from "node:process";
import { test } from "node:test";

/** The output of a program in a namespace, and how it ended. */
export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

// A user who is not root becomes root in a user namespace, where the system allows that.
const UNSHARE = process.getuid?.() === 0 ? ["-n"] : ["-r", "-n"];

/** Why no network namespace can be made here; undefined when one can. */
function whyNot(): string | undefined {
  if (process.platform !== "linux") return "network namespaces are there on Linux only";
  const { status, error } = spawnSync("unshare", [...UNSHARE, "ip", "link", "set", "lo", "up"], { stdio: "ignore" });
  if (status === 0) return undefined;
  return `a network namespace takes root, unshare and iproute2: ${error?.message ?? `unshare ended with ${status}`}`;
}

/**
 * Registers a test that makes network namespaces. It is skipped where that cannot be done, or fails there if
 * `WARP_MESH_REQUIRE_NETNS` is 1.
 */
export function namespaceTest(title: string, body: () => Promise<void>): void {
  const reason = whyNot();
  if (reason === undefined || process.env["WARP_MESH_REQUIRE_NETNS"] === "1") test(title, body);
  else test(title, { skip: reason }, () => {});
}

/** Runs a shell script in a network namespace of its own, in which nothing is up yet and which nothing leaves. */
export function inNamespace(script: string, env: Readonly<Record<string, string>> = {}): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    // By this variable Node's runner makes its children print for it alone.
    const { NODE_TEST_CONTEXT: _, ...inherited } = process.env;
    const child = spawn("unshare", [...UNSHARE, "sh", "-e", "-c", script], {
      env: { ...inherited, NO_COLOR: "1", ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let [stdout, stderr] = ["", ""];
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => stdout += chunk);
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => stderr += chunk);
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, stdout, stderr }));
  });
}
