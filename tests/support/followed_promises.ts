/**
 * Followed promises: a program that prints whether promises are tracked once the package is imported, which makes an
 * `await` three times as slow: a continuation then has an id of its own.
 *
 * @module
 */

import { executionAsyncId } from "node:async_hooks";
import { systemPorts } from "../../adapters/auto.ts";

await Promise.resolve();
const isFollowed = await Promise.resolve().then(() => executionAsyncId()) !== 0;
console.log(JSON.stringify({ hasContexts: systemPorts.contexts !== undefined, isFollowed }));
