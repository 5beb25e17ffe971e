/**
 * Bus process: a process with one endpoint of a bus. `Line` starts it and sends it requests.
 *
 * @module
 */

import process from "node:process";
import { setTimeout } from "node:timers/promises";
import { machineNow } from "../machine_clock.ts";
import { serve } from "../worker_process.ts";
import { Arrivals } from "./arrivals.ts";
import { type Bus, openBus } from "./bus.ts";
import type { Arrived, NodeRequest, Opened, Published } from "./protocol.ts";
import { publishAll, publishPaced } from "./publishers.ts";

const LOOK_MS = 2;

const arrivals = new Arrivals();
let startCpu = process.cpuUsage();
let bus: Bus | undefined;

await serve(async (request: NodeRequest): Promise<Opened | Published | Arrived | Record<string, never>> => {
  if (request.type === "open") {
    const { targets, server, listens } = request;
    const heard = listens ? (key: string) => arrivals.heard(key) : undefined;
    bus = await openBus(request.bus, { targets, server, heard });
    return { address: bus.address };
  }
  if (bus === undefined) throw new Error(`Cannot ${request.type} as no bus is open`);
  switch (request.type) {
    case "ready":
      await bus.ready(request.others);
      return {};
    case "count":
      arrivals.count();
      startCpu = process.cpuUsage();
      return {};
    case "time":
      arrivals.time(request.keys);
      return {};
    case "publish":
    case "pace":
      return await publish(bus, request);
    case "report":
      return await report(request.keys, request.patience);
    case "close":
      await bus.close();
      bus = undefined;
      return {};
  }
});
await bus?.close();

async function publish(to: Bus, request: NodeRequest & { readonly type: "publish" | "pace" }): Promise<Published> {
  const cpu = process.cpuUsage();
  const start = machineNow();
  let keys: number;
  if (request.type === "publish") keys = await publishAll(to, request.ms);
  else await publishPaced(to, keys = request.keys, request.interval, request.start);
  await to.flush();
  const { user, system } = process.cpuUsage(cpu);
  return { keys, start, end: machineNow(), cpuMs: (user + system) / 1000 };
}

async function report(keys: number, patience: number): Promise<Arrived> {
  let before = -1;
  let since = performance.now();
  while (arrivals.received < keys) {
    const now = performance.now();
    if (arrivals.received !== before) since = now;
    else if (now - since > patience) break;
    before = arrivals.received;
    await setTimeout(LOOK_MS);
    // When the process was delayed, its timers fire before its socket is read.
    await setTimeout(1);
  }
  const { user, system } = process.cpuUsage(startCpu);
  const { received, last } = arrivals;
  return { received, last, cpuMs: (user + system) / 1000, times: arrivals.quantiles() };
}
