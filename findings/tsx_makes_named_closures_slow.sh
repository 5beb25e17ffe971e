#!/usr/bin/env bash
# Run by tsx, a function that is made in a hot path and has a name costs several times as much as one that has none.
#
# Versions:  tsx 4.23.15 with esbuild 0.28.2, on node 24.21.0, from npm.
# Input:     a TypeScript file that makes a closure a million times, once as `const read = () => i` and once as an argument,
#            run by `node` as it is, which strips the types, and by `node --import tsx`.
# Expected:  tsx takes away the types and nothing else: both cost the same, by both.
# Behaviour: tsx has esbuild keep names. Each evaluation of `const read = () => i` calls a helper that sets the property
#            `name` of the new function, by `Object.defineProperty`. So a benchmark that is run by tsx measures that,
#            a package that is built without it does not have it, and moving a closure into the call makes it vanish.
# Seen:      node: a named closure takes 1.0 times as long as one that has no name
#            tsx: a named closure takes 7.9 times as long as one that has no name
#
# Ends with 0 as long as that is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --silent tsx@4.23.15 esbuild@0.28.2 node@24.21.0
cat >closures.mts <<'TS'
const kept: (() => number)[] = [];
function keep(read: () => number): void {
  kept[read() & 1023] = read;
}
function named(i: number): void {
  const read = () => i;
  keep(read);
}
function unnamed(i: number): void {
  keep(() => i);
}
function time(make: (i: number) => void): number {
  const times: number[] = [];
  for (let round = 0; round < 9; round++) {
    const start = performance.now();
    for (let i = 0; i < 1_000_000; i++) make(i);
    times.push(performance.now() - start);
  }
  return times.sort((a, b) => a - b)[4] as number;
}
time(named);
time(unnamed);
console.log((time(named) / time(unnamed)).toFixed(1));
TS
wrong=0
# Holds that the ratio is at least, and at most.
check() {
  local name=$1 least=$2 most=$3 ratio
  shift 3
  ratio=$("$@" closures.mts)
  echo "$name: a named closure takes $ratio times as long as one that has no name"
  if ! awk -v r="$ratio" -v l="$least" -v m="$most" 'BEGIN { exit !(r >= l && r <= m) }'; then wrong=1; fi
}
bin="$folder/node_modules/.bin/node"
check node 0 3 "$bin"
check tsx 4 10000 "$bin" --import tsx
exit "$wrong"
