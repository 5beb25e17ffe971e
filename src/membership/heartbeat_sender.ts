/**
 * Heartbeat sender: builds each heartbeat from the node's address, the position of its stream, and the payload that
 * membership gives, and sends it.
 *
 * @module
 */

import type { Endpoint } from "../platform/endpoint.ts";
import { encodeExtension, type Extension } from "../wire/extension.ts";
import type { NodeRecord } from "../wire/node_record.ts";

/** What the extension of a heartbeat carries, besides the position of the node's stream. */
export type HeartbeatPayload = Pick<Extension, "nonce" | "echo" | "path" | "heard" | "peers" | "token">;

/** Sends the heartbeats of this node. */
export interface HeartbeatTransport {
  /** Sends one to the group, to one endpoint or to several. */
  send(payload: HeartbeatPayload, to: "group" | Endpoint | readonly Endpoint[]): void;
}

/** What a {@linkcode HeartbeatSender} is made of. */
export interface HeartbeatSenderConfig {
  /** Makes the heartbeat with the address that the node advertises, and an extension block behind it. */
  readonly localNode: { heartbeat(extension: Uint8Array | undefined): Uint8Array };
  /**
   * The position of the node's stream. Absent when the node speaks go-warp's wire only: heartbeats have no extension
   * then.
   */
  readonly stream: { readonly positionRecords: Pick<Extension, "position" | "pending"> } | undefined;
  /** What the node says of itself. */
  readonly node: NodeRecord;
  readonly transmit: { sendControlPacket(packet: Uint8Array, to: "group" | Endpoint | readonly Endpoint[]): void };
}

/** Builds and sends the heartbeats of this node. */
export class HeartbeatSender implements HeartbeatTransport {
  readonly #config: HeartbeatSenderConfig;

  constructor(config: HeartbeatSenderConfig) {
    this.#config = config;
  }

  send(payload: HeartbeatPayload, to: "group" | Endpoint | readonly Endpoint[]): void {
    const { localNode, node, stream, transmit } = this.#config;
    const records = stream?.positionRecords;
    transmit.sendControlPacket(localNode.heartbeat(records && encodeExtension({ ...records, ...payload, node })), to);
  }
}
