// Loss: hosts whose system drops a random share of what they receive. Everything arrives all the same.

import { assert, assertEquals } from "@std/assert";
import type { MeshOptions } from "../../mod.ts";
import { type LossProcess, type StartLossNode, type Streams, withLossProcesses } from "../support/loss_process.ts";
import { type Runtime, RUNTIMES } from "../support/programs.ts";
import { some } from "../support/size.ts";
import { type Host, hostTest, withHosts } from "./support/netns.ts";

const ADDRESSES = ["10.77.1.1", "10.77.1.2", "10.77.1.3"] as const;
/** The shares of loss, with so many datagrams of about 40 keys each that some are lost except in one of 10^10 runs. */
const KEYS: ReadonlyMap<number, number> = new Map([[0.05, 20_000], [0.25, 5_000]]);
// With a quarter lost in each direction, 20 heartbeats in succession are lost in one of 10^12 runs. A process that
// stalls for a heartbeat causes a gap, and a machine under load stalls one for some hundred milliseconds now and then.
const OPTIONS: MeshOptions = { heartbeat: 1_000, peerTimeout: 20_000 };
// Within this time after the last publish everything is settled. With a quarter lost in each direction 44 % of all
// requests fail: 20 in succession, for which this is enough, in one of 10^7 cases.
const WITHIN_MS = 30_000;
// The project's own target for a quarter lost.
const MOST_COVERED = 0.001;

for (const share of [0.05, 0.25]) {
  const percent = `${100 * share} %`;

  hostTest(
    `three hosts, one of each runtime, ${percent} lost, by multicast and unicast: every key arrives`,
    () =>
      withHosts(ADDRESSES.map((address) => [address]), (hosts) =>
        withLossProcesses(async (start) => {
          const members = startOn(start, hosts, RUNTIMES);
          for (const host of hosts) host.lose(share);
          await Promise.all(members.map((member) => member.open(OPTIONS)));
          await assertAllArrives(members, share);
          for (const host of hosts) assert(host.lost() > 0, "The host must have dropped datagrams");
        })),
  );

  // At small size one pair for each share.
  for (const [i, first] of some([...RUNTIMES.entries()], ([i]) => i === (share > 0.05 ? 2 : 0))) {
    const second = RUNTIMES[(i + 1) % RUNTIMES.length] as Runtime;
    hostTest(
      `two hosts, ${first} and ${second}, ${percent} lost, by unicast alone: every key arrives`,
      () =>
        withHosts([[ADDRESSES[0]], [ADDRESSES[1]]], (hosts) =>
          withLossProcesses(async (start) => {
            const members = startOn(start, hosts, [first, second]);
            for (const host of hosts) host.lose(share);
            await Promise.all(
              members.map((member, i) =>
                member.open({ ...OPTIONS, multicast: false, peers: [`${ADDRESSES[1 - i]}:7946`] })
              ),
            );
            await assertAllArrives(members, share);
            for (const member of members) {
              const { missing, recovered } = await member.metrics();
              assert(missing > 0 && recovered > 0, `${member.runtime}: ${missing} missing, ${recovered} recovered`);
            }
          })),
    );
  }
}

function startOn(start: StartLossNode, hosts: readonly Host[], runtimes: readonly Runtime[]): LossProcess[] {
  return hosts.map((host, i) => start(runtimes[i] as Runtime, host));
}

/** All publish at once, before they know each other, and all that each has accepted reaches all others. */
async function assertAllArrives(members: readonly LossProcess[], share: number): Promise<void> {
  const count = KEYS.get(share) as number;
  const streams = await Promise.all(
    members.map((member, i) => member.publish({ stream: String.fromCharCode(97 + i), perTurn: 100, count })),
  );
  await Promise.all(members.map(async (member, i) => {
    const others: Streams = Object.assign({}, ...streams.filter((_, j) => j !== i));
    const settled = await member.settle(others, WITHIN_MS);
    const text = `${member.runtime}: ${JSON.stringify(settled)}`;
    assertEquals([settled.lost, settled.repeated, settled.invented], [0, 0, 0], text);
    assertEquals(settled.delivered + settled.covered, (members.length - 1) * count, text);
    if (share <= 0.05) assertEquals(settled.gaps, 0, text);
    assert(settled.covered <= MOST_COVERED * settled.delivered, text);
    const { state, peers } = await member.current(WITHIN_MS);
    assertEquals([state, peers.map(({ missing }) => missing)], ["current", peers.map(() => 0)], member.runtime);
    assertEquals(peers.length, members.length - 1);
  }));
}
