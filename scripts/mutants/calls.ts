/**
 * Mutants of calls: breakages of what callers pass and get.
 *
 * @module
 */

import { judgedBy, type Mutant } from "./mutant.ts";

/** Breakages of the code that handles what callers pass and get. */
export const CALLS: readonly Mutant[] = judgedBy("calls", [
  {
    name: "a mesh has a listener of its own at its signal",
    file: "src/mesh_bus.ts",
    find: "onAbort(settings.signal, () => void this.close());",
    replace: "(settings.signal.addEventListener('abort', () => void this.close()), undefined);",
  },
  {
    name: "a mesh that closes stays a listener of its signal",
    file: "src/mesh_bus.ts",
    find: "    this.#detach?.();\n",
    replace: "",
  },
  {
    name: "a look-up that was answered stays a listener of its signal",
    file: "adapters/lookup_pool.ts",
    find: "        detach?.();\n",
    replace: "",
  },
  {
    name: "a pause that has ended stays a listener of its signal",
    file: "cli/pause.ts",
    find: "signal && onAbort(signal, end)",
    replace: "signal && (signal.addEventListener('abort', end), undefined)",
  },
  {
    name: "a search for the holder of the port stays a listener of its signal",
    file: "cli/port_holder.ts",
    find: "  detach?.();\n",
    replace: "",
  },
  {
    name: "unknown options are ignored",
    file: "src/platform/known_options.ts",
    find: "known[name] !== undefined || ",
    replace: "known[name] !== undefined || name !== '' || ",
  },
  {
    name: "unknown options that are undefined are ignored",
    file: "src/platform/known_options.ts",
    find: "!Object.hasOwn(options, name)",
    replace: "(options as Record<string, unknown>)[name] === undefined",
  },
  {
    name: "unknown options that are inherited are refused",
    file: "src/platform/known_options.ts",
    find: " || !Object.hasOwn(options, name)",
    replace: "",
  },
  {
    name: "an inherited property of objects is a known option",
    file: "src/platform/known_options.ts",
    find: "Object.create(null)",
    replace: "{}",
  },
  {
    name: "a typing error is looked for before another word",
    file: "src/platform/known_options.ts",
    find: "[spelt, named, near, parts]",
    replace: "[spelt, near, parts]",
  },
  {
    name: "swapped letters are two typing errors",
    file: "src/platform/known_options.ts",
    find: "isSwap ? ",
    replace: "i < 0 ? ",
  },
  {
    name: "options of `publish` are not checked",
    file: "src/pubsub/sync_bus.ts",
    find: '  checkKnown("publish", options, known);\n',
    replace: "",
  },
  {
    name: "options of `publishAndAwait` are not checked",
    file: "src/pubsub/sync_bus.ts",
    find: "  checkPublish(options, AWAIT_OPTIONS);\n",
    replace: "",
  },
  {
    name: "options of `subscribe` are not checked",
    file: "src/pubsub/subscriptions.ts",
    find: '    checkKnown("subscribe", options, SUBSCRIBE_OPTIONS, ofTopic);\n',
    replace: "",
  },
  {
    name: "options of `waitForPeers` are not checked",
    file: "src/membership/peer_waiters.ts",
    find: '    checkKnown("wait for peers", options, OPTIONS);\n',
    replace: "",
  },
  {
    name: "options of `diagnose` are not checked",
    file: "src/lazy_diagnoser.ts",
    find: '  checkKnown("diagnose", options, OPTIONS, undefined, true);\n',
    replace: "",
  },
  {
    name: "a diagnosis expects a peer at an address to which it has only just moved",
    file: "src/membership/peer_table.ts",
    find: "    advertised.movedAt = now;\n",
    replace: "",
  },
  {
    name: "a diagnosis expects the node at an address to which it has only just moved",
    file: "src/membership/local_node.ts",
    find: "      this.movedAt = ports.clock.now();\n",
    replace: "",
  },
  {
    name: "an unreachable address is never found after it was new",
    file: "src/observability/diagnosis/snapshot.ts",
    find: "> SETTLED_AFTER * heartbeat ? false : null",
    replace: "> Infinity ? false : null",
  },
  {
    name: "an advertised address that is wrong counts as new whenever it is heard from another port",
    file: "src/observability/diagnosis/advertised_address_check.ts",
    find: "(isSameEndpoint(said, advertised.endpoint) && otherwise)",
    replace: "otherwise",
  },
  {
    name: "options of `sharedMesh` are checked as those of the mesh that is there",
    file: "mod.ts",
    find: '  checkNames(options, SHARED_OPTIONS, "share a mesh");\n',
    replace: "",
  },
  {
    name: "`openMesh` takes ports and uses others",
    file: "mod.ts",
    find: "  checkNames(options);\n",
    replace: "",
  },
  {
    name: "the parts of a simulated host are options of a mesh",
    file: "adapters/memory/host.ts",
    find: "    this.#hasMulticast = multicast;\n",
    replace: "    Object.assign(this, { network: fabric });\n",
  },
  {
    name: "a fault without a name is no error",
    file: "adapters/memory/faults.ts",
    find: '  checkKnown("set the faults", faults, FAULTS);\n',
    replace: "",
  },
  {
    name: "a topic that ends in * causes no error",
    file: "src/node_parts.ts",
    find: "      onPattern,\n",
    replace: "      undefined,\n",
  },
  {
    name: "a bus in one process does not report a topic that ends in *",
    file: "src/pubsub/in_process_bus.ts",
    find: "MAX_KEY, this.#onError, 0",
    replace: "MAX_KEY, undefined, 0",
  },
  {
    name: "in JSON the staleness of a mesh may be null",
    file: "src/observability/status.ts",
    find: "staleness === Infinity ? withJson(status) : status",
    replace: "status",
  },
  {
    name: "in JSON the staleness of a closed mesh is null",
    file: "src/observability/status.ts",
    find: 'withJson({ state: "doubt", staleness: Infinity, peers: [], lost: [], plain: 0 })',
    replace: '{ state: "doubt", staleness: Infinity, peers: [], lost: [], plain: 0 }',
  },
  {
    name: "the form for JSON is a property like others",
    file: "src/platform/json_numbers.ts",
    find: "{ value: toJson }",
    replace: "{ value: toJson, enumerable: true }",
  },
  {
    name: "every promise is followed after the import: contexts",
    file: "adapters/async_context.ts",
    find: "  storage.disable();\n",
    replace: "",
  },
  {
    name: "a resource keeps the values that were set in it: contexts",
    file: "adapters/async_context.ts",
    find: "idle.push(wiped(resource))",
    replace: "idle.push(resource)",
  },
  {
    name: "a context is not entered twice at a time: contexts",
    file: "adapters/async_context.ts",
    find: "const resource = idle.pop() ?? ",
    replace: "const resource = idle[0] ?? ",
  },
  {
    name: "whether a context holds a value is not checked: contexts",
    file: "adapters/async_context.ts",
    find: "value === undefined || own.get(name)",
    replace: "value === undefined || name !== undefined || own.get(name)",
  },
  {
    name: "a context counts once, however many run in it: contexts",
    file: "src/pubsub/subscriptions.ts",
    find: "(this.#entries.get(enter) ?? 0) + 1",
    replace: "1",
  },
  {
    name: "a context in which nothing runs any more is kept: contexts",
    file: "src/pubsub/subscriptions.ts",
    find: "else this.#entries.delete(enter);",
    replace: "else this.#entries.set(enter, 0);",
  },
  {
    name: "a loop continues before the callbacks beside it are called",
    file: "src/pubsub/subscriptions.ts",
    find: "[false, true] as const",
    replace: "[true, false] as const",
  },
  {
    name: "keys that wait enter the context one by one: contexts",
    file: "src/pubsub/dispatcher.ts",
    find: "return this.#subscriptions.within(() => {",
    replace: "return ((run: () => boolean) => run())(() => {",
  },
]);
