/**
 * NATS bus.
 *
 * @module
 */

import { connect, type Msg } from "@nats-io/transport-node";
import { type OpenBus, TOPIC } from "./bus.ts";

/** NATS core by its official client, with the client's default options. */
export const openNats: OpenBus = async ({ server, heard }) => {
  const connection = await connect({ servers: `127.0.0.1:${server}` });
  if (heard !== undefined) {
    const callback = (error: Error | null, message: Msg) => {
      if (error !== null) throw error;
      heard(message.string());
    };
    connection.subscribe(TOPIC, { callback });
    // The server has the subscription when it answers a later request.
    await connection.flush();
  }
  return {
    address: "",
    ready: () => Promise.resolve(),
    publish: (key) => connection.publish(TOPIC, key),
    flush: () => connection.flush(),
    close: () => connection.close(),
  };
};
