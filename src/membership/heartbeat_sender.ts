/**
 * Heartbeats as they are sent: where the node is, where its stream is, and what membership has to say.
 *
 * @module
 */

import type { Endpoint } from "../platform/endpoint.ts";
import { encodeExtension, type Extension } from "../wire/extension.ts";
import type { HeartbeatPayload } from "./path_validation.ts";

/** Sends the heartbeats of this node. */
export interface HeartbeatTransport {
  /** Sends one to the group, to one endpoint or to several. */
  send(payload: HeartbeatPayload, to: "group" | Endpoint | readonly Endpoint[]): void;
}

/** What a {@linkcode HeartbeatSender} is made of. */
export interface HeartbeatSenderConfig {
  /** Makes the heartbeat that says where the node is, with an extension block behind it. */
  readonly localNode: { heartbeat(extension: Uint8Array | undefined): Uint8Array };
  /** Where the node's own stream is. Absent when the node speaks the original's wire only: then heartbeats have no extension. */
  readonly stream: { readonly positionRecords: Pick<Extension, "position" | "pending"> } | undefined;
  readonly transmit: { sendControlPacket(packet: Uint8Array, to: "group" | Endpoint | readonly Endpoint[]): void };
}

/** One per node. */
export class HeartbeatSender implements HeartbeatTransport {
  readonly #config: HeartbeatSenderConfig;

  constructor(config: HeartbeatSenderConfig) {
    this.#config = config;
  }

  send(payload: HeartbeatPayload, to: "group" | Endpoint | readonly Endpoint[]): void {
    const { localNode, stream, transmit } = this.#config;
    const records = stream?.positionRecords;
    transmit.sendControlPacket(localNode.heartbeat(records && encodeExtension({ ...records, ...payload })), to);
  }
}
