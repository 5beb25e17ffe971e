/**
 * Servers: the Redis and NATS servers that the mesh is compared with. The benchmark starts them on free ports of
 * 127.0.0.1, with nothing kept on disk.
 *
 * @module
 */

import { spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import process from "node:process";
import { createInterface } from "node:readline";
import { setTimeout } from "node:timers/promises";

/** A running server. */
export interface Server {
  readonly port: number;
  /** Processor time that it has taken, in milliseconds; `undefined` where the system does not tell. */
  cpuMs(): number | undefined;
  stop(): Promise<void>;
}

/** The names of the servers. */
export type Broker = "redis" | "nats";

/** All of them. */
export const BROKERS = ["redis", "nats"] as const;

const PROGRAMS: Readonly<Record<Broker, string>> = { redis: "redis-server", nats: "nats-server" };
// Where Debian installs programs that only root is meant to start.
const PATH = `${process.env["PATH"]}:/usr/sbin:/usr/local/sbin`;
const TRIES = 3;
const LOOK_MS = 10;
const START_MS = 10_000;
// A tick of /proc/PID/stat, which is 1/100 s on every Linux that Node runs on.
const TICK_MS = 10;

// The shell ends the server when this process closes the pipe, for whatever reason. The shell survives an interrupt
// from the keyboard, which goes to all processes of the terminal, so that it can do so.
const KEEPER = `trap "" INT TERM HUP; "$@" >/dev/null 2>&1 & echo $!; read -r _; kill -9 $!; wait`;

/** The version of a server that is installed here; `undefined` when it is not. */
export function serverVersion(broker: Broker): string | undefined {
  if (process.platform === "win32") return undefined;
  const { stdout } = spawnSync(PROGRAMS[broker], ["--version"], { encoding: "utf8", env: { ...process.env, PATH } });
  return /\d+\.\d+\.\d+/.exec(stdout ?? "")?.[0];
}

/**
 * Starts the servers that are installed, on Node alone: their clients are written for Node, and a comparison on another
 * runtime would not be fair to them.
 */
export async function openServers(): Promise<{ readonly broker: Broker; readonly server: Server }[]> {
  if (process.versions["deno"] !== undefined || process.versions["bun"] !== undefined) return [];
  const installed = BROKERS.filter((broker) => serverVersion(broker) !== undefined);
  return await Promise.all(installed.map(async (broker) => ({ broker, server: await startServer(broker) })));
}

/** Starts a server. Resolves when it accepts connections. */
async function startServer(broker: Broker): Promise<Server> {
  for (let i = 0; i < TRIES; i++) {
    // Another process may take the port before the server does.
    const server = await tryPort(broker, await freePort());
    if (server !== undefined) return server;
  }
  throw new Error(`${PROGRAMS[broker]} has not come up on any of ${TRIES} ports`);
}

async function tryPort(broker: Broker, port: number): Promise<Server | undefined> {
  const child = spawn("sh", ["-c", KEEPER, "sh", PROGRAMS[broker], ...settings(broker, port)], {
    cwd: tmpdir(),
    env: { ...process.env, PATH },
    stdio: ["pipe", "pipe", "inherit"],
  });
  const gone = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const { value } = await createInterface({ input: child.stdout })[Symbol.asyncIterator]().next();
  const pid = Number(value);
  const stop = async () => {
    child.stdin.end();
    await gone;
  };
  for (const end = performance.now() + START_MS; performance.now() < end && runs(pid); await setTimeout(LOOK_MS)) {
    if (await takesConnections(port)) return { port, stop, cpuMs: () => cpuMs(pid) };
  }
  await stop();
  return undefined;
}

function settings(broker: Broker, port: number): string[] {
  if (broker === "nats") return ["--addr", "127.0.0.1", "--port", `${port}`, "--log", "/dev/null"];
  // Without the last line Redis disconnects a subscriber that is 32 MB behind, as it is when its publisher is faster.
  return [
    ...["--bind", "127.0.0.1", "--port", `${port}`, "--save", "", "--appendonly", "no"],
    ...["--client-output-buffer-limit", "pubsub", "0", "0", "0"],
  ];
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}

function takesConnections(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

function runs(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

function cpuMs(pid: number): number | undefined {
  if (process.platform !== "linux") return undefined;
  // The name of the program, in brackets, may hold blanks; `utime` and `stime` are the 12th and 13th field after it.
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) /s, "").split(" ");
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}
