/**
 * Mutants of membership: breakages of discovery, path validation and failure detection.
 *
 * @module
 */

import { judgedBy, type Mutant } from "./mutant.ts";

/** Breakages of discovery and membership, which the churn worlds or the tests of both must notice. */
export const MEMBERSHIP: readonly Mutant[] = judgedBy("churn", [
  {
    name: "a path response carries no challenge",
    file: "src/membership/path_validation.ts",
    find: "const own = entry.isValidated ? {} : { nonce: this.#pathChallenges.issue(source, entry.id) };",
    replace: "const own = {};",
  },
  {
    name: "any node may respond to a challenge that was for another",
    file: "src/membership/path_challenges.ts",
    find: "challenge === undefined || (challenge.id !== undefined && challenge.id !== id)",
    replace: "challenge === undefined",
  },
  {
    name: "the initial peer exchange goes to the source of the response",
    file: "src/membership/membership.ts",
    find: "...initial }, entry.endpoint);",
    replace: "...initial }, source);",
  },
  {
    name: "a node that was challenged at a seed is not challenged at its own address",
    file: "src/membership/membership.ts",
    find: "if (needsExchange) this.#pathProber.onValidated(entry, source);",
    replace: "if (needsExchange) {}",
  },
  {
    name: "an unvalidated address is challenged whenever it is named",
    file: "src/membership/amplification_limit.ts",
    find: "return !isPaused && ",
    replace: "return ",
  },
  {
    name: "a node that was taken for a plain one somewhere is replaced there",
    file: "src/membership/membership.ts",
    find: "if (other.isJoined && !other.isValidated) continue;",
    replace: "",
  },
  {
    name: "a listed address is challenged again only after a minute",
    file: "src/membership/amplification_limit.ts",
    find: "peer: heartbeat,",
    replace: "peer: RETRY_AFTER,",
  },
  {
    name: "the address of a lost peer counts as unvalidated, too",
    file: "src/membership/path_prober.ts",
    find: "if (departed.mentioned(name, endpoint)) return;",
    replace: "departed.mentioned(name, endpoint);",
  },
  {
    name: "a peer exchange is accepted from any node",
    file: "src/membership/membership.ts",
    find: "if (entry.isValidated && isItself) {\n      extension",
    replace: "{\n      extension",
  },
  {
    name: "a peer exchange lists silent peers",
    file: "src/membership/peer_table.ts",
    find: "if (this.#isHeard(entry)) few.push(entry);",
    replace: "few.push(entry);",
  },
  {
    name: "an unvalidated node gets more than challenges",
    file: "src/membership/peer_table.ts",
    find: "filter(({ extended, isValidated }) => !extended || isValidated)",
    replace: "filter(() => true)",
  },
  {
    name: "plain peers may fill the table",
    file: "src/membership/peer_table.ts",
    find: "if (!isExtended && this.#plain >= plainCapacity) return false;",
    replace: "",
  },
  {
    name: "a joining node for which there is no room gets no response",
    file: "src/membership/membership.ts",
    find: "if (extended) this.#pathValidation.challengeUnregistered(source, id, extension?.nonce, isResponse);",
    replace: "",
  },
  {
    name: "a response from elsewhere moves a peer at once",
    file: "src/membership/peer_table.ts",
    find: "if (isThere || !entry.isValidated ||",
    replace: "if (isThere || entry.isValidated || !entry.isValidated ||",
  },
  {
    name: "a peer that has moved is left at its old address",
    file: "src/membership/peer_table.ts",
    find: "return isSilent && isThere && this.#settle(entry, source);",
    replace: "return isSilent && isThere && false;",
  },
  {
    name: "every host counts as a peer's own",
    file: "src/membership/peer.ts",
    find: "return this.path.endpoint.host === host || this.path.hosts.has(host);",
    replace: "return true;",
  },
  {
    name: "the list of nodes heard by multicast is ignored",
    file: "src/membership/multicast_reachability.ts",
    find: "path === PATH_HEARD || (heard !== undefined && listsNode(heard, nodeId))",
    replace: "path === PATH_HEARD",
  },
  {
    name: "a peer that says that it does not hear gets no copies",
    file: "src/membership/multicast_reachability.ts",
    find: "} else if (path === PATH_DEAF) this.#set(entry, false);",
    replace: "}",
  },
  {
    name: "a peer that has said once that it hears multicast gets no copies for long",
    file: "src/membership/multicast_reachability.ts",
    find: "const HEARS_FOR = 1.75;",
    replace: "const HEARS_FOR = 175;",
  },
  {
    name: "a peer that was heard by multicast once counts as heard for long",
    file: "src/membership/multicast_reachability.ts",
    find: "const HEARD_FOR = 1.5;",
    replace: "const HEARD_FOR = 150;",
  },
  {
    name: "multicast reachability is checked before unread datagrams are read",
    file: "src/membership/failure_detector.ts",
    find: "if (mayDecide) membership.onLook();",
    replace: "membership.onLook();",
  },
  {
    name: "a node whose checks are late takes all peers for heard",
    file: "src/membership/failure_detector.ts",
    find: "if (mayDecide) membership.onLook();",
    replace: "if (!hasStalled) membership.onLook();",
  },
  {
    name: "a peer is down before unread datagrams are read",
    file: "src/membership/failure_detector.ts",
    find: "this.#confirm(due, TURNS)",
    replace: "this.#confirm(due, 0)",
  },
  {
    name: "a stall of the node counts as silence of its peers",
    file: "src/membership/failure_detector.ts",
    find: "if (hasStalled) this.#stalled += late;",
    replace: "",
  },
  {
    name: "the timer of a closed failure detector goes on",
    file: "src/membership/failure_detector.ts",
    find: "this.#timer?.cancel();\n    this.#turnTimer",
    replace: "this.#turnTimer",
  },
  {
    name: "a process that was replaced at its address stays as long as any other",
    file: "src/membership/membership.ts",
    find: "this.#replace(entry);\n",
    replace: "",
  },
  {
    name: "a seed stays covered for ever",
    file: "src/membership/bootstrap.ts",
    find: "if (names === undefined || this.#isClosed) return;",
    replace: "return;",
  },
  {
    name: "a seed at which a node has heard itself is not challenged any more",
    file: "src/membership/bootstrap.ts",
    find: "if (self === undefined) return this.open();",
    replace: "return this.open();",
  },
  {
    name: "one peer of a host covers all of its seeds",
    file: "src/net/fanout.ts",
    find: "(spare.get(host) ?? 0) < (wanted.get(host) ?? 0)",
    replace: "(spare.get(host) ?? 0) < 1",
  },
  {
    name: "one lost challenge moves a peer",
    file: "src/membership/path_prober.ts",
    find: "const PROBES = 3;\n",
    replace: "const PROBES = 1;\n",
  },
  {
    name: "one lost challenge moves a peer of two interfaces",
    file: "src/membership/path_prober.ts",
    find: "const ALTERNATE_PROBES = 8;",
    replace: "const ALTERNATE_PROBES = 1;",
  },
  {
    name: "a peer is challenged at an unchanged rate on a host where it never responds",
    file: "src/membership/path_prober.ts",
    find: "2 ** Math.max(0, probing.tries - FREE_TRIES)",
    replace: "1",
  },
  {
    name: "of the nodes that do not fit a list the same are always listed",
    file: "src/membership/multicast_reachability.ts",
    find: "      state.listedAt = this.#config.clock.now();\n",
    replace: "",
  },
  {
    name: "a peer whose full list lacks this node counts as not hearing it",
    file: "src/membership/multicast_reachability.ts",
    find: "HEARS_FOR * heartbeats * heartbeat",
    replace: "HEARS_FOR * heartbeat",
  },
  {
    name: "all nodes challenge an unknown node that sends to the group",
    file: "src/membership/response_suppression.ts",
    find: "return this.isSmall || jitter",
    replace: "return true || jitter",
  },
  {
    name: "a joining node without a response waits for the next round",
    file: "src/membership/initial_heartbeats.ts",
    find: "this.start(round + 1);",
    replace: "",
  },
  {
    name: "a challenge with a response stays in the budget",
    file: "src/membership/amplification_limit.ts",
    find: "this.#rate.giveBack();",
    replace: "",
  },
  {
    name: "a plain peer whose address may be forged gets every batch",
    file: "src/membership/unicast_copy_budget.ts",
    find: "const refused = this.#established.take(allowed) + this.#unestablished.take(allowed);",
    replace: "allowed.push(...all);\n    const refused = 0;",
  },
  {
    name: "a plain peer that was heard once is established",
    file: "src/membership/unicast_copy_budget.ts",
    find: "times: 3, heartbeats: 1.25",
    replace: "times: 1, heartbeats: 0",
  },
  {
    name: "multicast from another host of a peer does not count when that has responded",
    file: "src/membership/membership.ts",
    find: "    this.#multicast.onAnswer(entry);\n",
    replace: "",
  },
  {
    name: "multicast from a host that has not responded counts",
    file: "src/membership/membership.ts",
    find: "else this.#multicast.noteAlternate(entry, extension, source.host);",
    replace: "else this.#multicast.note(entry, extension);",
  },
  {
    name: "the challenge in each response counts as one without response",
    file: "src/membership/path_validation.ts",
    find:
      "if (validation.challengesSent > CHALLENGE_AGAIN.length) validation.challengedAt = this.#config.clock.now();\n      else if",
    replace: "if",
  },
]);
