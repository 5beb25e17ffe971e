#!/usr/bin/env bash
# An AsyncLocalStorage that ran once makes every `await` of the process slower, until it is disabled.
#
# Versions:  node 20.20.2, 22.23.3 and 24.21.0, from npm.
# Input:     a program that makes an AsyncLocalStorage and calls `run` once, as a package does that looks at load what the
#            runtime can do; then a loop of awaits in no context.
# Expected:  as fast as without: `run` has returned, and no store is set.
# Behaviour: with Node 20 and 22 `run` puts the storage into a list of those that follow promises, for good. While one is in
#            it each promise of the process is followed: a continuation has an async id of its own, and an `await` takes
#            about three times as long. `disable()` after the last use takes it out, and all is as fast as before. Node 24
#            keeps contexts in another way, and is not slower.
# Seen:      node 20.20.2: follows promises before false, after one run true, after disable false; an await takes 3.0 times as long
#            node 22.23.3: follows promises before false, after one run true, after disable false; an await takes 2.8 times as long
#            node 24.21.0: follows promises before false, after one run false, after disable false; an await takes 1.0 times as long
#
# Ends with 0 as long as that is so. Times do not decide it, as they differ.
set -euo pipefail
FOLDER=$(mktemp -d)
trap 'rm -rf "$FOLDER"' EXIT
cd "$FOLDER"

cat >follow.mjs <<'JS'
import { AsyncLocalStorage, executionAsyncId } from "node:async_hooks";
import process from "node:process";

const AWAITS = 300_000;
const ROUNDS = 5;

// The id of a continuation is 0 as long as nothing follows promises.
const follows = () => Promise.resolve().then(() => executionAsyncId() !== 0);

async function time() {
  let best = Infinity;
  for (let round = 0; round < ROUNDS; round++) {
    const start = process.cpuUsage().user;
    for (let i = 0; i < AWAITS; i++) await null;
    best = Math.min(best, process.cpuUsage().user - start);
  }
  return best;
}

await time();
const [before, quick] = [await follows(), await time()];
const storage = new AsyncLocalStorage();
storage.run("once", () => {});
const disable = () => storage.disable();
const [after, slow] = [await follows(), await time()];
disable();
const disabled = await follows();
console.log(
  `node ${process.versions.node}: follows promises before ${before}, after one run ${after}, after disable ${disabled}; ` +
    `an await takes ${(slow / quick).toFixed(1)} times as long`,
);
const isOld = Number(process.versions.node.split(".")[0]) < 24;
process.exitCode = before === false && after === isOld && disabled === false ? 0 : 1;
JS

wrong=0
for version in 20.20.2 22.23.3 24.21.0; do
  mkdir "$version"
  (cd "$version" && npm init -y >/dev/null && npm install --no-audit --no-fund --silent "node@$version")
  "$version/node_modules/node/bin/node" follow.mjs || wrong=1
done
exit "$wrong"
