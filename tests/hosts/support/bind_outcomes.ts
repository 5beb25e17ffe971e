// no_multicast.test.ts runs it in a network namespace: prints the results of binds and sends, as one line of JSON.
import process from "node:process";
import { BindError, type BindOptions } from "../../../src/platform/datagram_socket.ts";
import { Inbox } from "../../support/inbox.ts";
import { binds } from "../../support/native_binds.ts";
import { LOCAL } from "../../support/sockets.ts";

const GROUP = "239.77.1.1";
const joining: BindOptions = { ...LOCAL, host: "0.0.0.0", shared: true, joinGroup: GROUP };
const sending: BindOptions = { ...LOCAL, host: "0.0.0.0", sendsMulticast: true };

const cases: Readonly<Record<string, BindOptions>> = {
  "join, interface of the system's choice": joining,
  "join on 127.0.0.1": { ...joining, multicastInterface: "127.0.0.1" },
  "join on another host's address": { ...joining, multicastInterface: "198.51.100.77" },
  "send multicast by the system's choice": sending,
  "no multicast": { ...LOCAL, host: "0.0.0.0" },
};

const outcomes: Record<string, Record<string, string>> = {};
for (const [name, bind] of Object.entries(binds)) {
  const mine: Record<string, string> = outcomes[name] = {};
  for (const [title, options] of Object.entries(cases)) {
    try {
      const socket = await bind(options, new Inbox());
      mine[title] = options.sendsMulticast
        ? await socket.send(new Uint8Array(1), GROUP, 9).then(() => "sent", () => "not sent")
        : "bound";
      await socket.close();
    } catch (error) {
      mine[title] = error instanceof BindError ? error.code : String(error);
    }
  }
}
process.stdout.write(`${JSON.stringify(outcomes)}\n`);
