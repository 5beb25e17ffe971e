/**
 * Opening events: what a node that was just opened has to do without, and its id and address.
 *
 * @module
 */

import type { MeshEvent } from "../events.ts";
import type { InterfaceSockets } from "../net/interface_sockets.ts";

/** What the first events report of the node. */
export interface OpenedNode {
  readonly nodeId: string;
  readonly address: string;
}

/** All opening events, in their order; `opened` is the last. */
export function openingEvents(
  { nodeId, address }: OpenedNode,
  links: InterfaceSockets,
  settings: { readonly receiveBufferRequired: boolean },
): readonly MeshEvent[] {
  const { own, mesh, multicastError, hasMulticast } = links;
  const { adapter } = own;
  const events: MeshEvent[] = [];
  const fallbacks = new Set([mesh.fallback, own.fallback].filter((reason) => reason !== undefined));
  for (const reason of fallbacks) events.push({ type: "fallback", adapter, reason });
  for (const option of new Set([...mesh.unmet, ...own.unmet])) {
    if (option === "receiveBuffer" && !settings.receiveBufferRequired) continue;
    events.push({ type: "unsupported", option, adapter });
  }
  for (const name of links.missing) events.push({ type: "interfaceMissing", name });
  if (multicastError !== undefined) events.push({ type: "multicastUnavailable", error: multicastError });
  events.push({ type: "opened", nodeId, address, adapter, multicast: hasMulticast });
  return events;
}
