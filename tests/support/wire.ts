/**
 * The links that join hosts in network namespaces: they count datagrams, and drop them.
 *
 * @module
 */

/** The link of a host to a network. */
export interface Cable {
  /** Its end at the host: an interface. */
  readonly device: string;
  /** Its end at the switch. */
  readonly port: string;
  /** The hardware address of the interface. */
  readonly mac: string;
}

/** A host with links. */
export interface Wired {
  readonly cables: readonly Cable[];
}

/** Batches that were sent through one or more switches. */
export interface Batches {
  /** To a multicast group. */
  readonly group: number;
  /** To one host alone, for each of the given hosts. */
  readonly copies: readonly number[];
}

const TABLE = "bridge wire";
// A datagram's first two bytes, behind the 8 of the UDP header: docs/wire.md.
const BATCH = "@th,64,16 0x5703";
const HEARTBEAT = "@th,64,16 0x5702";
const TO_GROUP = "meta pkttype multicast";

/** The switches of {@linkcode withHosts}. */
export class Wire {
  readonly #run: (...command: string[]) => string;
  readonly #counted = new Set<string>();
  #blocks = 0;

  /** `run` runs a command where the switches are. */
  constructor(run: (...command: string[]) => string) {
    this.#run = run;
  }

  /** Counts batches. The first call for a host begins to count. */
  batches(hosts: readonly Wired[]): Batches {
    const counts = this.#counts(hosts);
    return { group: counts.get("batches") ?? 0, copies: sums(hosts, counts, "copies") };
  }

  /** Heartbeats that each of the hosts has sent to a group. The first call for a host begins to count. */
  heartbeats(hosts: readonly Wired[]): readonly number[] {
    return sums(hosts, this.#counts(hosts), "heartbeats");
  }

  /** UDP datagrams that were sent to each of the hosts alone. The first call for a host begins to count. */
  datagrams(hosts: readonly Wired[]): readonly number[] {
    return sums(hosts, this.#counts(hosts), "datagrams");
  }

  /**
   * Drops multicast, or all datagrams, from some hosts to some others without any error; from or to all of them when
   * none are given. The returned function ends that.
   */
  block(
    what: "multicast" | "everything",
    { from = [], to = [] }: { readonly from?: readonly Wired[]; readonly to?: readonly Wired[] } = {},
  ): () => void {
    const chain = `${TABLE} block${this.#blocks++}`;
    const rule = [
      portsOf("iifname", from),
      portsOf("oifname", to),
      what === "multicast" ? `${TO_GROUP} meta l4proto udp` : "",
    ];
    this.#nft(
      `add table ${TABLE}`,
      `add chain ${chain} { type filter hook forward priority 0; }`,
      `add rule ${chain} ${rule.join(" ")} drop`,
    );
    return () => this.#nft(`flush chain ${chain}`, `delete chain ${chain}`);
  }

  /** Cuts hosts off from others, in both directions. The returned function joins them again. */
  part(some: readonly Wired[], others: readonly Wired[]): () => void {
    const ways = [
      this.block("everything", { from: some, to: others }),
      this.block("everything", { from: others, to: some }),
    ];
    return () => ways.forEach((pass) => pass());
  }

  /** Sets the MTU of the switches' ends of a host's cables: longer packets are dropped there without any error. */
  shrink({ cables }: Wired, mtu: number): void {
    for (const { port } of cables) this.#run("ip", "link", "set", port, "mtu", `${mtu}`);
  }

  #counts(hosts: readonly Wired[]): ReadonlyMap<string, number> {
    const isFirst = this.#counted.size === 0;
    const rules: string[] = isFirst
      ? [
        `add table ${TABLE}`,
        `add chain ${TABLE} count { type filter hook prerouting priority 0; }`,
        ...counter("batches", `meta l4proto udp ${BATCH} ${TO_GROUP}`),
      ]
      : [];
    for (const { port, mac } of hosts.flatMap(({ cables }) => cables)) {
      if (this.#counted.has(port)) continue;
      this.#counted.add(port);
      rules.push(...counter(`datagrams_${port}`, `ether daddr ${mac} meta l4proto udp`));
      rules.push(...counter(`copies_${port}`, `ether daddr ${mac} meta l4proto udp ${BATCH}`));
      rules.push(...counter(`heartbeats_${port}`, `iifname ${port} meta l4proto udp ${HEARTBEAT} ${TO_GROUP}`));
    }
    if (rules.length > 0) this.#nft(...rules);
    const text = this.#run("nft", "list", "counters", "table", ...TABLE.split(" "));
    const found = text.matchAll(/counter (\w+) \{\s*packets (\d+)/g);
    return new Map(Array.from(found, ([, name = "", packets]) => [name, Number(packets)]));
  }

  #nft(...commands: string[]): void {
    this.#run("nft", commands.join("; "));
  }
}

function counter(name: string, match: string): readonly string[] {
  return [`add counter ${TABLE} ${name}`, `add rule ${TABLE} count ${match} counter name ${name}`];
}

function sums(hosts: readonly Wired[], counts: ReadonlyMap<string, number>, what: string): readonly number[] {
  return hosts.map(({ cables }) => cables.reduce((sum, { port }) => sum + (counts.get(`${what}_${port}`) ?? 0), 0));
}

function portsOf(end: "iifname" | "oifname", hosts: readonly Wired[]): string {
  if (hosts.length === 0) return "";
  return `${end} { ${hosts.flatMap(({ cables }) => cables).map(({ port }) => port).join(", ")} }`;
}
