#!/usr/bin/env bash
# A private getter is not inlined on Node and Deno: each read of it calls V8's runtime, where a private method is free.
#
# Versions:  node 20.20.2, 22.23.3, 24.21.0 and 26.10.0, from npm. (Deno 2.9.6 takes as long, and Bun 1.4.5 as little for both.)
# Input:     a class that asks itself twice whether it is full: by `get #isFull()`, and by `#full()` with the same body.
# Expected:  no difference, as between a public getter and a public method: both are inlined where they are called often.
# Behaviour: the function that reads the private getter has a call of the runtime in its bytecode, `LoadPrivateGetter`, which no
#            compiler of V8 replaces: five to nine times the time of the method when all is hot, and in a process that was idle
#            more, as the runtime is in none of the processor's caches. On the receiving side of a bus they took 3 % of the time.
# Seen:      node 20.20.2: calls of the runtime by getter 1, by method 0; 10.2 and 2.2 ns
#            node 22.23.3: calls of the runtime by getter 1, by method 0; 5.4 and 1.0 ns
#            node 24.21.0: calls of the runtime by getter 1, by method 0; 10.1 and 1.6 ns
#            node 26.10.0: calls of the runtime by getter 1, by method 0; 6.9 and 0.8 ns
#
# Ends with 0 as long as that is so. Times do not decide it, as they differ.
set -euo pipefail
FOLDER=$(mktemp -d)
trap 'rm -rf "$FOLDER"' EXIT
cd "$FOLDER"

cat >tank.mjs <<'JS'
import process from "node:process";

class Tank {
  #level = 1;
  #limit = 1;
  get #isFull() {
    return this.#level >= this.#limit;
  }
  #full() {
    return this.#level >= this.#limit;
  }
  byGetter() {
    return this.#isFull;
  }
  byMethod() {
    return this.#full();
  }
}

const COUNT = 1_000_000;
const tank = new Tank();
// Each in a function of its own, so that neither is compiled for both.
const loops = ["byGetter", "byMethod"].map((name) =>
  new Function("tank", "count", `let full = 0; while (count-- > 0) full += tank.${name}() ? 1 : 0; return full;`)
);
const times = loops.map((loop) => {
  let best = Infinity;
  for (let round = 0; round < 8; round++) {
    const start = process.hrtime.bigint();
    if (loop(tank, COUNT) !== COUNT) throw new Error("The tank is full");
    best = Math.min(best, Number(process.hrtime.bigint() - start) / COUNT);
  }
  return best.toFixed(1);
});
console.log(times.join(" and "));
JS

STATUS=0
for VERSION in 20.20.2 22.23.3 24.21.0 26.10.0; do
  npm install --silent --no-save --no-audit --no-fund --prefix "node-$VERSION" "node@$VERSION" >/dev/null
  NODE="node-$VERSION/node_modules/node/bin/node"
  calls() {
    "$NODE" --print-bytecode --print-bytecode-filter="$1" tank.mjs | grep -c 'CallRuntime \[LoadPrivateGetter\]' || true
  }
  GETTER=$(calls byGetter)
  METHOD=$(calls byMethod)
  echo "node $VERSION: calls of the runtime by getter $GETTER, by method $METHOD; $("$NODE" tank.mjs) ns"
  if [ "$GETTER" != 1 ] || [ "$METHOD" != 0 ]; then
    echo "Other than it was" >&2
    STATUS=1
  fi
done
exit "$STATUS"
