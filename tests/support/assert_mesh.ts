// Mesh assertion: all nodes know each other, and the keys of each arrive at all others.
import { assertEquals } from "@std/assert";
import type { MeshProcess } from "./mesh_process.ts";

/**
 * Asserts that all nodes know each other, and that the keys of each arrive at all others and not at itself. With
 * `sendErrors`, some sends may be refused.
 */
export async function assertMesh(
  members: readonly MeshProcess[],
  { sendErrors = false }: { readonly sendErrors?: boolean } = {},
): Promise<void> {
  await Promise.all(members.map((member) => member.knows(...othersOf(member, members).map(({ node }) => node))));
  for (const member of members) {
    const addresses = othersOf(member, members).map(({ node }) => node.address);
    assertEquals([...await member.peers()].sort(), addresses.sort());
  }
  await Promise.all(members.map((member) => member.publish(...keysOf(member))));
  for (const member of members) {
    for (const other of othersOf(member, members)) await Promise.all(keysOf(other).map((key) => member.heard(key)));
    const own = member.keys().filter((key) => keysOf(member).includes(key));
    assertEquals(own, []);
    const metrics = await member.metrics();
    assertEquals([metrics.decodeErrors, metrics.invalidKeys, metrics.receiveErrors], [0, 0, 0]);
    if (!sendErrors) assertEquals(metrics.sendErrors, 0);
  }
}

function othersOf(member: MeshProcess, members: readonly MeshProcess[]): MeshProcess[] {
  return members.filter((other) => other !== member);
}

/** Long and short keys and keys outside ASCII, more of them than fit one datagram. */
function keysOf({ runtime, node }: MeshProcess): string[] {
  const prefix = `${runtime} ${node.nodeId}`;
  return [
    `${prefix}:key`,
    `${prefix}:ключ`,
    ...Array.from({ length: 30 }, (_, i) => `${prefix}:${i}:${"k".repeat(60)}`),
  ];
}
