/**
 * Refusal of unknown options. A misspelt option that was ignored would leave its default in force, and nothing would
 * report it.
 *
 * Options that the mesh passes to ports are not checked: the caller of a port may be newer than its author and pass
 * options that it does not know.
 *
 * @module
 */

import { misuse, show } from "../errors.ts";

/** The set of option names. It has no prototype, so that `constructor` is not in it. */
export interface KnownOptions {
  readonly [name: string]: true | undefined;
}

/** The names of all options of a type, and those of other lists. The compiler refuses an incomplete list. */
export function knownOptions<Options>(
  names: Readonly<Record<keyof Options & string, true>>,
  ...others: readonly KnownOptions[]
): KnownOptions {
  return Object.assign(Object.create(null), names, ...others);
}

/**
 * Checks that options are an object, or left out unless `isNeeded`, and that each own property has a known name. An
 * unknown name is refused even when its value is `undefined`, as it may have a value in production.
 *
 * Costs 10 to 40 ns, as `publish` calls it. `action` completes "Cannot …"; `hint` may return a hint about a name.
 *
 * @throws {TypeError} that names the first unknown option, and what may have been meant
 */
export function checkKnown(
  action: string,
  options: unknown,
  known: KnownOptions,
  hint?: (name: string) => string | undefined,
  isNeeded = false,
): void {
  if (!isNeeded && (options === undefined || options === null)) return;
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    throw misuse(action, "the options must be an object", options);
  }
  for (const name in options) {
    if (known[name] !== undefined || !Object.hasOwn(options, name)) continue;
    const help = hint?.(name) ?? hintFor(name, Object.keys(known));
    throw new TypeError(`Cannot ${action} as every option must be known: current value is ${show(name)} (${help})`);
  }
}

/** What other libraries call the options, in lower case. */
const SYNONYMS: Readonly<Record<string, string>> = {
  advertiseAddr: "address addr advertised announce external externaladdress host hostname ip publicaddress self url",
  batchInterval: "debounce delay flush flushinterval interval linger lingerms wait",
  batchSize: "batchcount maxbatch",
  capacity: "buffer buffersize highwatermark limit max maxsize queue queuesize size",
  discover: "discovery provider",
  family: "ipv4 ipv6 ipversion protocol udp4 udp6 version",
  group: "channel mcast multicastaddress multicastaddr multicastgroup namespace topic",
  heartbeat: "gossipinterval interval keepalive ping pinginterval probeinterval",
  interface: "address bindaddr bindaddress bindto device host iface interfaces ip listen localaddress nic",
  delay: "jitter latency lag",
  duplicate: "dup dups",
  from: "sender source src",
  loss: "drops lost packetloss",
  maxPeers: "maxmembers maxnodes",
  multicastLoopback: "loop loopback",
  multicastTtl: "hops ttl",
  multicast: "broadcast mdns",
  onError: "error errors log logger onerror",
  peerTimeout: "deadafter expire failuretimeout sessiontimeout timeout timeouts",
  peers: "addresses bootstrap bootstrapservers brokers cluster contactpoints endpoints host hosts join members nodes " +
    "replicas seed seeds server servers srv url urls",
  port: "bindport listenport udpport",
  queueSize: "buffer buffersize highwatermark maxpending maxqueue",
  receiveBuffer: "rcvbuf recvbuffersize sorcvbuf",
  maxSendRate: "bandwidth maxrate ratelimit throttle",
  region: "datacenter dc zone",
  resolveInterval: "dnsinterval dnsttl refresh refreshinterval",
  self: "echo includeself local own",
  signal: "abort cancel controller deadline timeout token",
  timeout: "deadline duration ms time wait",
  to: "destination dest dst receiver target",
  vectorClock: "clock timestamp version",
  wire: "compat format mode protocol",
};

/** Longest text that is compared, in characters: no name of an option is half as long. */
const MAX_COMPARED = 40;

/**
 * A hint at the option that may have been meant. It looks, in this order, for the same name in another spelling, a
 * synonym, a typing error, and a part of a name.
 */
function hintFor(name: string, known: readonly string[]): string {
  const word = plain(name).slice(0, MAX_COMPARED);
  const spelt = known.filter((each) => plain(each) === word);
  const named = known.filter((each) => SYNONYMS[each]?.split(" ").includes(word));
  const near = nearest(word, known);
  const parts = known.filter((each) => word.length > 3 && (plain(each).includes(word) || word.includes(plain(each))));
  const [meant = []] = [spelt, named, near, parts].filter((names) => names.length > 0);
  if (meant.length > 0) return `did you mean ${listOf(meant.slice(0, 3), "or")}?`;
  return `${known.length > 8 ? "no option is called nearly so" : `known: ${listOf(known, "and")}`}`;
}

function plain(name: string): string {
  return name.toLowerCase().replaceAll(/[^a-z0-9]/g, "");
}

function listOf(names: readonly string[], last: string): string {
  const quoted = names.map((name) => `\`${name}\``);
  return [quoted.slice(0, -1).join(", "), ...quoted.slice(-1)].filter((part) => part !== "").join(` ${last} `);
}

/** The names at the smallest edit distance, up to one edit in four letters. */
function nearest(word: string, known: readonly string[]): readonly string[] {
  let fewest = Math.floor((word.length + 1) / 4);
  let names: string[] = [];
  for (const name of known) {
    const count = editDistance(word, plain(name));
    if (count > fewest) continue;
    if (count < fewest) names = [];
    fewest = count;
    names.push(name);
  }
  return names;
}

/**
 * The edit distance: letters left out, added, changed, or swapped with the next (Damerau 1964, each pair swapped once).
 */
function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const changed = (last[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      row[j] = Math.min(
        changed,
        (last[j] ?? 0) + 1,
        (row[j - 1] ?? 0) + 1,
        isSwap ? (before[j - 2] ?? 0) + 1 : Infinity,
      );
    }
    before = last;
    last = row;
  }
  return last[b.length] ?? 0;
}
