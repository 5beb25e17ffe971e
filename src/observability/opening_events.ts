/**
 * The events of a node that was just opened: what it has to do without, and where it is.
 *
 * @module
 */

import type { MeshEvent } from "../events.ts";
import type { InterfaceSockets } from "../net/interface_sockets.ts";

/** The node, as its first events tell of it. */
export interface OpenedNode {
  readonly nodeId: string;
  readonly address: string;
}

/** All of them, in their order; `opened` is the last. */
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
