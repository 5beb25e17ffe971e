/**
 * Unrest: nodes join, leave, crash, come back and stall, and the network is partitioned and heals: C1.
 *
 * @module
 */

import { pick } from "../storm/plan.ts";
import { hostAddress } from "../worlds.ts";
import { acquaintanceProblem, memoryProblem, reportProblem } from "./checks.ts";
import type { ChurnRun } from "./churn.ts";
import type { ChurnNode } from "./node.ts";
import { type ChurnPlan, describeChurn, dropOf, isDead, optionsOf, pillarsOf, planChurn } from "./plan.ts";
import { closeAll, untilAcquainted } from "./rest.ts";
import { ChurnWorld } from "./world.ts";

/** 10.0.0.254 is the last host: the address after it is the broadcast address. */
const MOST_HOSTS = 254;

interface Appointment {
  readonly at: number;
  readonly call: () => unknown;
}

/** Makes the world of a seed. */
export function makeUnrest(seed: number, trace?: (line: string) => void): ChurnRun {
  const plan = planChurn(seed);
  const { heartbeat, faults } = plan;
  const world = new ChurnWorld({ seed, heartbeat, faults: { ...faults, drop: dropOf(plan) }, trace });
  const unrest = new Unrest(plan, world);
  return { world, description: describeChurn(plan), run: () => unrest.run() };
}

class Unrest {
  readonly #plan: ChurnPlan;
  readonly #world: ChurnWorld;
  #appointments: Appointment[] = [];
  #hosts = 0;

  constructor(plan: ChurnPlan, world: ChurnWorld) {
    this.#plan = plan;
    this.#world = world;
    world.isTangled = plan.upheavals.has("part") || plan.upheavals.has("cut");
  }

  async run(): Promise<number> {
    const { random, heartbeat, network: { clock } } = this.#world;
    const { size, rounds } = this.#plan;
    let slowest = 0;
    while (this.#world.nodes.length < size) {
      await this.#join();
      if (random.chance(0.3)) await clock.advance(random.between(0, heartbeat));
    }
    for (let round = 1; round <= rounds; round++) {
      await this.#trouble();
      slowest = Math.max(slowest, await this.#rest());
    }
    await closeAll(this.#world, this.#plan.topology === "multicast");
    return slowest;
  }

  async #trouble(): Promise<void> {
    const world = this.#world;
    const { random, heartbeat, network: { clock } } = world;
    const { unrest, pace, upheavals } = this.#plan;
    const end = world.now + unrest * heartbeat;
    let due = 0;
    while (world.now < end) {
      const step = random.between(0.01, 0.4);
      await clock.advance(step * heartbeat);
      for (due += step * pace; due >= 1; due--) {
        if (upheavals.size > 0) await this.#upheave(pick(random, [...upheavals]));
      }
      await this.#keepAppointments(false);
      world.check(memoryProblem(world));
    }
  }

  async #rest(): Promise<number> {
    const world = this.#world;
    const { heartbeat, network: { clock } } = world;
    world.heal();
    await this.#keepAppointments(true);
    for (const host of pillarsOf(this.#plan)) {
      if (!world.running().some((node) => node.host.address === hostAddress(host))) await this.#open(host);
    }
    while (world.running().some(({ isPaused }) => isPaused)) await clock.advance(heartbeat / 20);
    world.note(() => "rest");
    const took = await untilAcquainted(world);
    // Until the crashed nodes are forgotten.
    await clock.advance(Math.max(0, world.lastChange + 2 * world.patience + 100 - world.now));
    world.check(memoryProblem(world) ?? reportProblem(world));
    if (!world.lossy) world.check(acquaintanceProblem(world));
    return took;
  }

  async #keepAppointments(all: boolean): Promise<void> {
    const due = this.#appointments.filter(({ at }) => all || at <= this.#world.now);
    this.#appointments = this.#appointments.filter((appointment) => !due.includes(appointment));
    for (const { call } of due) await call();
  }

  #later(delay: number, call: () => unknown): void {
    this.#appointments.push({ at: this.#world.now + delay, call });
  }

  async #upheave(kind: string): Promise<void> {
    const world = this.#world;
    const { random, heartbeat } = world;
    const running = world.running();
    // All may be about to come back.
    if (running.length === 0) return;
    const node = pick(random, running);
    const isLast = running.length < 3;
    switch (kind) {
      case "join":
        if (running.length < this.#plan.most) await this.#join();
        break;
      case "leave":
        if (!isLast && !node.isPaused) void world.close(node);
        break;
      case "crash":
        if (!isLast) world.crash(node);
        break;
      case "restart":
        await this.#restart(node);
        break;
      case "pause":
        // Two in a row would be one longer stall.
        if (node.stalledIn(world.now - heartbeat, world.now) === 0) {
          world.pause(node, random.between(0.05, 1) * heartbeat);
        }
        break;
      case "part":
        this.#part();
        break;
      default:
        world.cut(node.host.address, pick(random, running).host.address);
        this.#later(random.between(0.1, 6) * heartbeat, () => world.heal());
    }
  }

  async #restart(node: ChurnNode): Promise<void> {
    const world = this.#world;
    const { random, heartbeat } = world;
    const host = Number(node.host.address.split(".")[3]) - 1;
    if (random.chance(0.5)) world.crash(node);
    else if (!node.isPaused) void world.close(node);
    else return;
    const delay = random.chance(0.5) ? 0 : random.between(0, 5) * heartbeat;
    if (delay === 0) await this.#open(host);
    else this.#later(delay, () => this.#open(host));
  }

  #part(): void {
    const world = this.#world;
    const { random, heartbeat } = world;
    const groups: string[][] = Array.from({ length: 2 + random.below(2) }, () => []);
    for (let i = 0; i < this.#hosts; i++) pick(random, groups).push(hostAddress(i));
    world.part(groups);
    this.#later(random.between(0.1, 8) * heartbeat, () => world.heal());
  }

  async #join(): Promise<void> {
    const { random } = this.#world;
    const first = pillarsOf(this.#plan).length === 0 ? 0 : 3;
    // Several processes of a host share the port of the mesh: a seed would be one of them.
    const shares = this.#hosts > first && random.chance(0.1);
    if (shares) return await this.#open(first + random.below(this.#hosts - first));
    while (isDead(this.#plan, this.#hosts)) this.#hosts++;
    if (this.#hosts < MOST_HOSTS) await this.#open(this.#hosts++);
  }

  async #open(host: number): Promise<void> {
    const { options, kind } = optionsOf(this.#plan, host);
    await this.#world.open(hostAddress(host), options, kind);
  }
}
