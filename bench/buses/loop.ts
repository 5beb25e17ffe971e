/**
 * Loop bus: the least work that a mesh could do.
 *
 * @module
 */

import { BatchWriter } from "../../src/wire/batch_writer.ts";
import { readBatch, scanPacket } from "../../src/wire/packet.ts";
import { KEYS_PER_DATAGRAM } from "../keys.ts";
import { bindBare, ports } from "./bare.ts";
import type { OpenBus } from "./bus.ts";

/**
 * The minimal mesh: encodes keys of 16 bytes into full batches, sends them from a bare socket, receives and decodes
 * them. It knows its receivers, has no sequence numbers, and retransmits nothing.
 */
export const openLoop: OpenBus = async (options) => {
  const { heard = () => {} } = options;
  const to = ports(options);
  const socket = await bindBare((data) => readBatch(data, scanPacket(data), heard));
  // A datagram that is being sent must not be written to.
  const free: BatchWriter[] = [];
  let writer = new BatchWriter(new Uint8Array(16).fill(7));
  let last: Promise<unknown> | undefined;

  function send(): void {
    const full = writer;
    const sent = to.map((port) => socket.send(full.bytes(), "127.0.0.1", port));
    last = Promise.all(sent).then(() => {
      full.clear();
      free.push(full);
    });
    writer = free.pop() ?? new BatchWriter(new Uint8Array(16).fill(7));
  }

  return {
    address: `${socket.host}:${socket.port}`,
    ready: () => Promise.resolve(),
    publish(key) {
      writer.commit(writer.put(key));
      if (writer.count === KEYS_PER_DATAGRAM) send();
    },
    flush: () => last,
    close: () => socket.close(),
  };
};
