#!/usr/bin/env bash
# As long as two look-ups of names are not answered, Bun reads no file on a machine with two cores.
#
# Versions:  bun 1.4.5, beside node 24.21.0 and deno 2.9.6, from npm; Linux. Takes unshare, iproute2 and taskset.
# Input:     a name server that never answers, for which the resolver waits 2 s. Two names are looked up by
#            `node:dns/promises`, and 100 ms later a file is read by `node:fs/promises`.
# Expected:  the file is read at once. Look-ups take threads: libuv lets them have half of its four.
# Behaviour: Bun has as many threads as cores, for both. The read waits until one of the look-ups has ended; with eight
#            names four times as long. Node keeps threads back, though not for further look-ups; Deno has about 30.
# Seen:      node: 1 name 1 ms, 2 names 1 ms
#            deno: 1 name 2 ms, 2 names 2 ms
#            bun: 1 name 1 ms, 2 names 1896 ms
#
# Ends with 0 as long as that is so.
set -euo pipefail
if [ -z "${FOLDER-}" ]; then
  FOLDER=$(mktemp -d)
  trap 'rm -rf "$FOLDER"' EXIT
  (cd "$FOLDER" && npm init -y >/dev/null && npm install --no-audit --no-fund --silent node@24.21.0 deno@2.9.6 bun@1.4.5)
  FOLDER=$FOLDER unshare --user --map-root-user --net --mount bash "$0"
  exit
fi

cd "$FOLDER"
ip link set lo up
printf 'nameserver 127.0.0.53\noptions timeout:2 attempts:1\n' >resolv.conf
mount --bind resolv.conf /etc/resolv.conf
cat >read.mjs <<'JS'
import dgram from "node:dgram";
import { lookup } from "node:dns/promises";
import { readFile } from "node:fs/promises";
import process from "node:process";

const silent = dgram.createSocket("udp4");
await new Promise((bound) => silent.bind(53, "127.0.0.53", bound));
for (const name of process.argv.slice(2)) lookup(name).catch(() => {});
await new Promise((later) => setTimeout(later, 100));
const start = performance.now();
await readFile("read.mjs");
console.log(Math.round(performance.now() - start));
process.exit();
JS

bin="$FOLDER/node_modules/.bin"
wrong=0
# Holds that the read took so many milliseconds at least, and at most.
check() {
  local name=$1 least=$2 most=$3 one two
  shift 3
  one=$(timeout 60 taskset --cpu-list 0,1 "$@" a.example)
  two=$(timeout 60 taskset --cpu-list 0,1 "$@" a.example b.example)
  echo "$name: 1 name $one ms, 2 names $two ms"
  if ((one > 1000 || two < least || two > most)); then wrong=1; fi
}
check node 0 1000 "$bin/node" read.mjs
check deno 0 1000 "$bin/deno" run -A read.mjs
check bun 1500 30000 "$bin/bun" read.mjs
exit "$wrong"
