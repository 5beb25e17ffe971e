/**
 * Prints whether each promise is followed once the package is there, which makes an `await` three times as slow: a
 * continuation has an id of its own then.
 *
 * @module
 */

import { executionAsyncId } from "node:async_hooks";
import { systemPorts } from "../../adapters/auto.ts";

await Promise.resolve();
const isFollowed = await Promise.resolve().then(() => executionAsyncId()) !== 0;
console.log(JSON.stringify({ hasContexts: systemPorts.contexts !== undefined, isFollowed }));
