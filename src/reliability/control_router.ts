/**
 * Control router: passes heartbeats and control packets to the parts that use them, while the node is open and while it
 * closes.
 *
 * @module
 */

import type { EchoProbes } from "../membership/echo_probes.ts";
import type { Membership } from "../membership/membership.ts";
import type { ControlPacket, ControlSink } from "../net/receiver.ts";
import type { Endpoint } from "../platform/endpoint.ts";
import type { Extension } from "../wire/extension.ts";
import { TYPE_PROBE, TYPE_PROBE_ACK } from "../wire/layout.ts";
import { formatNodeId } from "../wire/node_id.ts";
import type { Reliability } from "./reliability.ts";
import type { Shutdown } from "./shutdown.ts";

/** What a {@linkcode ControlRouter} is made of. */
export interface ControlRouterConfig {
  readonly membership: Membership;
  /** Absent, as the probes are, when the node speaks go-warp's wire only. */
  readonly reliability: Reliability | undefined;
  readonly probes: EchoProbes | undefined;
  /**
   * The progress of closing. A node that closes still answers requests, and until it leaves it still processes the
   * heartbeats of other nodes.
   */
  readonly shutdown: Shutdown;
}

/**
 * Passes on what is for this node. Once `close` was called and the node has met those that it looks for, it passes on
 * only what others still need of the node.
 */
export class ControlRouter implements ControlSink {
  readonly #config: ControlRouterConfig;

  constructor(config: ControlRouterConfig) {
    this.#config = config;
  }

  onHeartbeat(nodeId: Uint8Array, advertised: string, source: Endpoint, extension: Extension | undefined): void {
    const { membership, reliability, shutdown } = this.#config;
    const id = formatNodeId(nodeId);
    if (shutdown.hasBegun && !shutdown.isMeeting) {
      if (extension !== undefined) reliability?.sendStream.sendLeaveOnce(id, source);
      return;
    }
    const hear = () => extension === undefined || reliability?.onHeartbeat({ nodeId, extension, source }, id) !== false;
    const isUsed = hear();
    membership.onHeartbeat({ nodeId, id, advertised, source, extension });
    // A departed node may have come back by this heartbeat, which has the position of its stream too.
    if (!isUsed) hear();
  }

  onControl(control: ControlPacket): void {
    const { probes, reliability, shutdown } = this.#config;
    const isProbe = control.type === TYPE_PROBE || control.type === TYPE_PROBE_ACK;
    if (!isProbe) reliability?.onControlPacket(control);
    else if (!shutdown.hasBegun) probes?.onPacket(control);
  }

  onOwnHeartbeat(extension: Extension, source: Endpoint): void {
    this.#config.membership.onOwnHeartbeat(extension, source);
  }

  onOwnProbe(nonce: number): void {
    this.#config.probes?.heardOwn(nonce);
  }
}
