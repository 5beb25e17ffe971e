// Contract kit: the options of the adapter contract, and the sockets and waits that its rules share.
import { assert, assertRejects } from "@std/assert";
import { delay } from "@std/async";
import { test } from "node:test";
import {
  type AdapterName,
  type Bind,
  BindError,
  type BindErrorCode,
  type BindOptions,
  type DatagramSocket,
} from "../../src/platform/datagram_socket.ts";
import { Inbox } from "../support/inbox.ts";

/** What the contract suite must know of an adapter, besides its `bind`. */
export interface ContractOptions {
  /** The adapter name of its sockets. */
  readonly adapter: AdapterName;
  /** Why its sockets are not the runtime's native ones. */
  readonly fallback?: string | undefined;
  /** The family of the sockets. @default {4} */
  readonly family?: 4 | 6;
  /** The address of the host and of the interface that the suite uses. @default {"127.0.0.1" or "::1"} */
  readonly address?: string;
  /** The name of that interface for a socket. @default {`address`, and for IPv6 "lo"} */
  readonly multicastInterface?: string;
  /** Whether multicast is heard on that interface. @default {for IPv4; `lo` has no IPv6 multicast} */
  readonly multicast?: boolean;
  /** Why the adapter does not support the options. Such a bind must reject with this reason. */
  readonly cannot?: (options: BindOptions) => string | undefined;
  /** Lets a little time pass. An adapter with a clock of its own sets it. @default {1 ms of real time} */
  readonly step?: () => Promise<void>;
  /** Whether the receive buffer can be set. @default {true} */
  readonly receiveBuffer?: boolean;
  /** Whether multicast works without a named interface, and stays on this machine. @default {false} */
  readonly multicastRoute?: boolean;
  /** A second interface, for tests of several. */
  readonly second?: SecondInterface;
  /** More addresses of the host, in the form of RFC 5952, the link-local one of the interface with its zone. */
  readonly more?: readonly string[];
}

/** An interface that can be deleted, and made again as it was. */
export interface SecondInterface {
  readonly address: string;
  readonly multicastInterface: string;
  delete(): void;
  make(): void;
}

/** Binds one more socket, which is closed at the end of the test. */
export type Open = (options?: Partial<BindOptions>, inbox?: Inbox) => Promise<DatagramSocket>;

/** Not an address of any host: RFC 5737 and RFC 3849 reserve them for documentation. */
const NOWHERE = { 4: "198.51.100.77", 6: "2001:db8::77" } as const;

const MAX_STEPS = 10_000;

/** An adapter under test, and the common parts of its tests. */
export class ContractKit {
  readonly bind: Bind;
  readonly contract: ContractOptions;
  readonly family: 4 | 6;
  readonly address: string;
  readonly multicastInterface: string;
  /** The wildcard address. */
  readonly any: string;
  /** An address that no host has. */
  readonly nowhere: string;
  /** Most bytes in a datagram. */
  readonly maxDatagram: number;
  /** Whether multicast is heard. */
  readonly multicast: boolean;
  /** Options of a socket without multicast. */
  readonly plain: BindOptions;
  /**
   * Sockets that send multicast: bound to the interface's address, bound to the wildcard, without a named interface.
   */
  readonly senders: readonly BindOptions[];
  /** Why the adapter does not support the options. */
  readonly cannot: (options: BindOptions) => string | undefined;
  /** Lets a little time pass. */
  readonly step: () => Promise<void>;

  constructor(bind: Bind, contract: ContractOptions) {
    const { family = 4, cannot = () => undefined, step = () => delay(1), multicastRoute } = contract;
    const { address = family === 4 ? "127.0.0.1" : "::1", multicast = family === 4 } = contract;
    const { multicastInterface = family === 4 ? address : "lo" } = contract;
    this.bind = bind;
    this.contract = contract;
    this.family = family;
    this.address = address;
    this.multicastInterface = multicastInterface;
    this.any = family === 4 ? "0.0.0.0" : "::";
    this.nowhere = NOWHERE[family];
    this.maxDatagram = family === 4 ? 65_507 : 65_527;
    this.multicast = multicast;
    this.cannot = cannot;
    this.step = step;
    const plain = { host: address, port: 0, shared: false, sendsMulticast: false, multicastLoopback: true };
    this.plain = { ...plain, multicastTtl: 1 };
    const bound = { ...this.plain, multicastInterface, sendsMulticast: true };
    const unbound = { ...bound, host: this.any };
    const senders = [bound, unbound, ...(multicastRoute ? [{ ...unbound, multicastInterface: undefined }] : [])];
    this.senders = multicast ? senders : [];
  }

  /** Runs `body` with a function that binds sockets, and closes them at the end. */
  async withSockets(body: (open: Open) => Promise<void>): Promise<void> {
    const sockets: DatagramSocket[] = [];
    try {
      await body(async (options = {}, inbox = new Inbox()) => {
        const socket = await this.bind({ ...this.plain, ...options }, inbox);
        sockets.push(socket);
        return socket;
      });
    } finally {
      await Promise.all(sockets.map((socket) => socket.close()));
    }
  }

  /** Registers a test that binds sockets. */
  test(title: string, body: (open: Open) => Promise<void>): void {
    test(title, () => this.withSockets(body));
  }

  /** Registers a test that is skipped when the adapter does not support `options`. */
  testIfAble(title: string, options: BindOptions, body: (open: Open) => Promise<void>): void {
    const reason = this.cannot(options);
    test(title, reason === undefined ? {} : { skip: reason }, () => this.withSockets(body));
  }

  /** Lets time pass until `condition` holds, within a limit. */
  async until(condition: () => boolean, what: string): Promise<void> {
    for (let steps = 0; !condition(); steps++) {
      assert(steps < MAX_STEPS, `Never came true: ${what}`);
      await this.step();
    }
  }

  /** A port that was free a moment ago. */
  async freePort(): Promise<number> {
    const socket = await this.bind(this.plain, new Inbox());
    await socket.close();
    return socket.port;
  }

  /** Asserts that `bind` rejects with one of these codes. Resolves to the error. */
  async assertBindFails(options: Partial<BindOptions>, ...codes: BindErrorCode[]): Promise<BindError> {
    const error = await assertRejects(() => this.bind({ ...this.plain, ...options }, new Inbox()), BindError);
    assert(codes.includes(error.code), `code ${error.code}, expected ${codes.join(" or ")}: ${error.message}`);
    return error;
  }
}

/** A group of its own keeps a test from hearing other tests on this host that run at the same time. */
export function randomGroup(family: 4 | 6, scope: "link" | "site" = "site"): string {
  const [a = 0, b = 0] = crypto.getRandomValues(new Uint8Array(2));
  if (family === 4) return `239.77.${a}.${b}`;
  // Datagrams to a group with a wider scope than the link are sent from an address that is valid there.
  return `${scope === "link" ? "ff12" : "ff15"}::77:${(256 * a + b).toString(16)}`;
}
