/**
 * The peer table: the nodes that were heard, where each is reached, and the lists of endpoints that follow from that.
 *
 * @module
 */

import { unique, unknownEndpoints } from "../net/fanout.ts";
import type { Clock } from "../platform/clock.ts";
import { type Endpoint, formatEndpoint, isSameEndpoint } from "../platform/endpoint.ts";
import { type AddressRules, type AdvertisedAddress, locate } from "./advertised_address.ts";
import { type AdvertisedState, type KnownPeer, type PathState, PeerEntry, type ReportedState } from "./peer.ts";
import type { NodeRecord } from "../wire/node_record.ts";
import type { PlainDestination } from "./unicast_copy_budget.ts";

/** What a heartbeat changed in the table. */
export type Heard = "joined" | "moved" | "known" | "refused";

/**
 * A peer that is heard from two addresses in turn stays at the first until it was silent there for this part of
 * `quietTimeout`: 15 s of 60 s, three heartbeats. A validated one stays for so many heartbeats.
 */
const PLAIN_SETTLED = 1 / 4;
const VALIDATION_SETTLED = 2;
/**
 * Heartbeats of silence after which peer exchanges do not list a peer that speaks the extension. They come every 0.85
 * to 1.
 */
const LISTED_FOR = 1.25;

/** Most hosts that are remembered of a peer besides the one at which it is reached: the oldest gives way. */
const MAX_HOSTS = 16;

/** What a {@linkcode PeerTable} is made of. */
export interface PeerTableConfig {
  /** Most peers that are kept. A full table refuses joining nodes, so that forged ids cannot drive real peers out. */
  readonly capacity: number;
  /** Most of them that are plain, that is, do not speak the extension: their paths cannot be validated. */
  readonly plainCapacity: number;
  /** Time between heartbeats, and silence after which a plain peer is lost, in milliseconds. */
  readonly heartbeat: number;
  readonly quietTimeout: number;
  readonly clock: Clock;
  readonly rules: AddressRules;
  /** At which peer the first peer exchange begins: a random one, or many nodes would list the same. */
  readonly exchangeFrom?: number;
  /** A peer has been removed to make room for another. */
  readonly onEvicted: (peer: PeerEntry) => void;
}

/** What the table needs of a heartbeat. */
export interface HeardPeer {
  readonly id: string;
  /** 16 bytes; may be a view. */
  readonly nodeId: Uint8Array;
  /** The address that it carries. */
  readonly advertised: string;
  readonly source: Endpoint;
  /** Whether it speaks the extension. */
  readonly extended: boolean;
  /** Whether it is the response to a path challenge. */
  readonly isResponse?: boolean;
}

/** The validated peers that acknowledge deliveries. */
export interface AcknowledgingPeerEntries {
  readonly all: readonly PeerEntry[];
  readonly ids: ReadonlySet<string>;
}

/** The nodes that were heard, by id, in the order in which they were last heard. */
export class PeerTable {
  readonly #config: PeerTableConfig;
  readonly #entries = new Map<string, PeerEntry>();
  #endpoints: readonly Endpoint[] | undefined;
  #copies: readonly Endpoint[] | undefined;
  #extendedCopies: readonly Endpoint[] | undefined;
  #plainCopies: readonly PlainDestination[] | undefined;
  #extended: readonly PeerEntry[] | undefined;
  #validated: number | undefined;
  #reachable: readonly PeerEntry[] | undefined;
  #acknowledging: AcknowledgingPeerEntries | undefined;
  /** How many peers are plain. */
  #plain = 0;
  /** Whose turn it is in the next peer exchange, among the validated peers and among the plain ones. */
  readonly #turns: Record<"validated" | "plain", number>;

  constructor(config: PeerTableConfig) {
    this.#config = config;
    const { exchangeFrom: from = 0 } = config;
    this.#turns = { validated: from, plain: from };
  }

  /** How many nodes are in it. */
  get size(): number {
    return this.#entries.size;
  }

  /**
   * Notes a heartbeat. A full table refuses a joining node, unless the heartbeat is a response or the node is plain:
   * then the node takes the place of the one that was heard longest ago of those that speak the extension and are not
   * validated. A peer that spoke the extension once counts as one that does: something may have cut the end off a
   * datagram.
   */
  onHeartbeat(heard: HeardPeer): Heard {
    const { id, nodeId, source, extended, isResponse = false } = heard;
    const now = this.#config.clock.now();
    const before = this.#entries.get(id);
    const isAsBefore = before !== undefined && before.advertised.text === heard.advertised &&
      isSameEndpoint(before.advertised.source, source);
    const located = isAsBefore ? before.advertised.located : this.locate(heard.advertised, source);
    if (located.endpoint.port === 0 || (before === undefined && !this.#hasRoom(extended, isResponse))) return "refused";
    const entry = before ?? new PeerEntry(id, nodeId, located, source, now);
    const advertised: AdvertisedState = entry.advertised;
    if (!isAsBefore) {
      advertised.text = heard.advertised;
      advertised.source = source;
      advertised.located = located;
    }
    const isMoved = before !== undefined && this.#move(entry, located, now);
    this.#contact(entry, source, now);
    if (before === undefined || (extended && !advertised.extended)) this.changed();
    if (before === undefined) this.#plain += extended ? 0 : 1;
    else if (extended && !advertised.extended) this.#plain--;
    advertised.extended ||= extended;
    this.#entries.delete(id);
    this.#entries.set(id, entry);
    return before === undefined ? "joined" : isMoved ? "moved" : "known";
  }

  /**
   * A peer has responded to a challenge that was sent to an endpoint. It is reached there from now on if it advertises
   * that endpoint, or if it was not validated before. Returns whether it is reached elsewhere than before, or for the
   * first time.
   */
  validate(entry: PeerEntry, endpoint: Endpoint): boolean {
    const isThere = entry.isAt(endpoint);
    if (isThere || !entry.isValidated || isSameEndpoint(endpoint, entry.advertised.endpoint)) {
      return this.#settle(entry, endpoint);
    }
    const path: PathState = entry.path;
    addHost(path, endpoint.host);
    path.alternate = endpoint;
    path.alternateAt = this.#config.clock.now();
    return false;
  }

  /**
   * A peer is heard from an endpoint. It is reached there from now on if it has responded from there recently, was not
   * heard where it was for two heartbeats, and has not responded to so many challenges there. Returns whether it is.
   */
  follow(entry: PeerEntry, source: Endpoint, challenges: number): boolean {
    const { clock, heartbeat } = this.#config;
    const { path: { alternate, alternateAt, reachedAt }, validation: { challengesSent } } = entry;
    const settled = VALIDATION_SETTLED * heartbeat;
    const now = clock.now();
    const isSilent = challengesSent >= challenges && now - reachedAt > settled;
    const isThere = alternate !== undefined && isSameEndpoint(alternate, source) && now - alternateAt <= settled;
    return isSilent && isThere && this.#settle(entry, source);
  }

  /** The peer with the node id `id`. */
  get(id: string): PeerEntry | undefined {
    return this.#entries.get(id);
  }

  /** All peers, the one that was heard longest ago first. */
  all(): Iterable<PeerEntry> {
    return this.#entries.values();
  }

  /** How many peers are validated. */
  get validated(): number {
    return this.#validated ??= this.#reach().filter(({ isValidated }) => isValidated).length;
  }

  /** The peers that speak the extension. */
  extended(): readonly KnownPeer[] {
    this.#extended ??= [...this.#entries.values()].filter(({ extended }) => extended);
    return this.#extended;
  }

  /** Whether one of the nodes is plain. */
  get hasPlain(): boolean {
    return this.#plain > 0;
  }

  /** The validated peers that acknowledge deliveries. The same object as long as nothing has changed. */
  acknowledging(): AcknowledgingPeerEntries {
    if (this.#acknowledging !== undefined) return this.#acknowledging;
    const all = this.#reach().filter(({ acknowledges, isValidated }) => isValidated && acknowledges);
    return this.#acknowledging = { all, ids: new Set(all.map(({ id }) => id)) };
  }

  /** Notes what a peer says of itself. */
  report(entry: PeerEntry, { acknowledges, zone }: NodeRecord): void {
    const reported: ReportedState = entry.reported;
    if (reported.acknowledges === acknowledges && reported.zone === zone) return;
    reported.acknowledges = acknowledges;
    reported.zone = zone;
    this.#acknowledging = undefined;
  }

  /** Removes a peer. */
  remove(id: string): PeerEntry | undefined {
    const entry = this.#entries.get(id);
    if (entry === undefined) return undefined;
    this.#entries.delete(id);
    if (!entry.extended) this.#plain--;
    this.changed();
    return entry;
  }

  /** The nodes that count as peers: one that has not responded may be forged. */
  joined(): readonly PeerEntry[] {
    return [...this.#entries.values()].filter(({ isJoined }) => isJoined);
  }

  /** Their addresses, as many as there are peers: several nodes may advertise the same one. */
  addresses(): string[] {
    return this.joined().map(({ address }) => address);
  }

  /** The peers that can be reached and do not say that they hear the group. Plain ones never say so. */
  withoutGroup(): readonly PeerEntry[] {
    return this.#reach().filter(({ hearsUs }) => !hearsUs);
  }

  /** Their endpoints, each once. The same array as long as nothing has changed. */
  copies(): readonly Endpoint[] {
    this.#copies ??= unique(this.withoutGroup().map(({ endpoint }) => endpoint));
    return this.#copies;
  }

  /** The endpoints of those of them that speak the extension. */
  extendedCopies(): readonly Endpoint[] {
    const speakers = () => this.withoutGroup().filter(({ extended }) => extended);
    this.#extendedCopies ??= unique(speakers().map(({ endpoint }) => endpoint));
    return this.#extendedCopies;
  }

  /**
   * The endpoints of those of them that do not, unless one that does is there. The same array as long as nothing has
   * changed.
   */
  plainCopies(): readonly PlainDestination[] {
    return this.#plainCopies ??= this.#plainDestinations();
  }

  /** The endpoints of the peers that can be reached, each once. The same array as long as nothing has changed. */
  endpoints(): readonly Endpoint[] {
    this.#endpoints ??= unique(this.#reach().map(({ endpoint }) => endpoint));
    return this.#endpoints;
  }

  /**
   * The peers that the next peer exchange lists; all that can be reached take turns, the validated ones, and plain ones
   * where there is room. Silent ones are left out: a node that challenges them in vain pauses for long.
   */
  nextForExchange(count: number): readonly KnownPeer[] {
    const all = this.#reach();
    const validated = this.#nextFrom("validated", all.filter(({ extended }) => extended), count);
    if (validated.length === count) return validated;
    // Many may be forged at one endpoint.
    const atEndpoint = new Map<string, PeerEntry>();
    for (const entry of all) {
      if (!entry.extended) atEndpoint.set(formatEndpoint(entry.endpoint), entry);
    }
    return [...validated, ...this.#nextFrom("plain", [...atEndpoint.values()], count - validated.length)];
  }

  /** Something has changed on which the lists depend. */
  changed(): void {
    this.#endpoints =
      this.#copies =
      this.#extendedCopies =
      this.#plainCopies =
        undefined;
    this.#extended =
      this.#reachable =
      this.#validated =
      this.#acknowledging =
        undefined;
  }

  /** The address of a node that advertises `advertised` and was heard from `source`. */
  locate(advertised: string, source: Endpoint): AdvertisedAddress {
    return locate(advertised, source, this.#config.rules);
  }

  /** The addresses of this host have changed: what peers advertise is judged anew with their next heartbeats. */
  relocate(): void {
    for (const { advertised } of this.#entries.values()) {
      const state: AdvertisedState = advertised;
      state.text = "";
    }
  }

  /** Removes all peers. */
  clear(): void {
    this.#entries.clear();
    this.#plain = 0;
    this.changed();
  }

  /** The peers that can be reached. A plain one cannot be validated: it is reached where it was heard. */
  #reach(): readonly PeerEntry[] {
    this.#reachable ??= [...this.#entries.values()].filter(({ extended, isValidated }) => !extended || isValidated);
    return this.#reachable;
  }

  #plainDestinations(): readonly PlainDestination[] {
    if (this.#plain === 0) return [];
    const plain = this.withoutGroup().filter(({ extended }) => !extended);
    const established = plain.filter((entry) => entry.plain.isEstablished).map(({ endpoint }) => endpoint);
    const places = unknownEndpoints(unique(plain.map(({ endpoint }) => endpoint)), this.extendedCopies());
    const others = new Set(unknownEndpoints(places, established));
    return places.map((endpoint) => ({ endpoint, isEstablished: !others.has(endpoint) }));
  }

  /** Silence after which a peer that is not validated is taken to have moved, in milliseconds. */
  #settled(): number {
    return PLAIN_SETTLED * this.#config.quietTimeout;
  }

  #nextFrom(kind: "validated" | "plain", all: readonly PeerEntry[], count: number): readonly PeerEntry[] {
    const few: PeerEntry[] = [];
    for (let i = 0; i < all.length && few.length < count; i++) {
      const entry = all[this.#turns[kind]++ % all.length] as PeerEntry;
      if (this.#isHeard(entry)) few.push(entry);
    }
    return few;
  }

  #isHeard({ extended, liveness: { heardAt, replacedAt } }: PeerEntry): boolean {
    const patience = extended ? LISTED_FOR * this.#config.heartbeat : this.#settled();
    return replacedAt === Infinity && this.#config.clock.now() - heardAt < patience;
  }

  #hasRoom(isExtended: boolean, isResponse: boolean): boolean {
    const { capacity, plainCapacity } = this.#config;
    if (!isExtended && this.#plain >= plainCapacity) return false;
    if (this.#entries.size < capacity) return true;
    // A plain node needs room as well, although it cannot respond.
    if (isExtended && !isResponse) return false;
    for (const entry of this.#entries.values()) {
      if (!entry.extended || entry.isValidated) continue;
      this.remove(entry.id);
      this.#config.onEvicted(entry);
      return true;
    }
    return false;
  }

  /**
   * Takes an advertised address for a peer's, unless another one stands. A peer that advertises no host may be heard
   * from two addresses of its host in turn, as multicast leaves by one and unicast by another: the first one stands
   * until the peer was silent there for a while. So does that of an established plain peer, as anybody can forge a
   * heartbeat with another address in its name.
   */
  #move(entry: PeerEntry, { address, endpoint, bySource }: AdvertisedAddress, now: number): boolean {
    const advertised: AdvertisedState = entry.advertised;
    const before = advertised.endpoint;
    const isSame = advertised.address === address && isSameEndpoint(before, endpoint);
    const isHeld = entry.plain.isEstablished && !advertised.extended && entry.isAt(before);
    if (!isSame && isHeld && now - entry.path.reachedAt < this.#settled()) return false;
    const isSettled = bySource && before.port === endpoint.port && now - advertised.settledAt < this.#settled();
    if (!isSame && isSettled && before.host !== endpoint.host) return false;
    advertised.settledAt = now;
    if (isSame) return false;
    advertised.address = address;
    advertised.endpoint = endpoint;
    advertised.movedAt = now;
    return true;
  }

  /** A peer is validated at an endpoint, and reached there from now on. Returns whether it was not before. */
  #settle(entry: PeerEntry, endpoint: Endpoint): boolean {
    const path: PathState = entry.path;
    const now = this.#config.clock.now();
    const isNew = !path.isValidated || !entry.isAt(endpoint);
    const { host } = path.endpoint;
    path.endpoint = endpoint;
    if (path.isValidated) addHost(path, host);
    else path.validatedAt = now;
    path.isValidated = true;
    path.reachedAt = now;
    if (isNew) this.changed();
    return isNew;
  }

  /**
   * A peer was heard from `source`. A validated one is reached elsewhere only after another path validation. Any other
   * is reached where it is heard, at the address that it advertises first of all.
   */
  #contact(entry: PeerEntry, source: Endpoint, now: number): void {
    const path: PathState = entry.path;
    if (entry.isAt(source)) path.reachedAt = now;
    else if (!path.isValidated) {
      const isAdvertised = isSameEndpoint(source, entry.advertised.endpoint);
      if (!isAdvertised && now - path.reachedAt < this.#settled()) return;
      path.endpoint = source;
      path.reachedAt = now;
      this.changed();
    }
  }
}

/** Notes a host as a peer's own, besides the one at which it is reached. */
function addHost(path: PathState, host: string): void {
  if (path.endpoint.host === host) return;
  const hosts = new Set(path.hosts);
  hosts.delete(host);
  hosts.add(host);
  const [oldest] = hosts;
  if (hosts.size > MAX_HOSTS && oldest !== undefined) hosts.delete(oldest);
  path.hosts = hosts;
}
