#!/usr/bin/env bash
# As long as datagrams wait in a UDP socket, Bun runs no timer of the process.
#
# Versions:  bun 1.4.5, beside node 24.21.0 and deno 2.9.6, from npm; Linux.
# Input:     for two seconds a child process sends small datagrams over the loopback interface, 4,000 a second. The handler
#            takes 1 ms for each, and 100 ms for the first, so that some always wait. Then a timer of 1 ms is set.
# Expected:  the timer comes after some tens of milliseconds: an event loop that reads sockets takes turns with its timers.
#            libuv reads at most 32 datagrams in a turn.
# Behaviour: Bun reads until the socket is empty, with `Bun.udpSocket` and with `node:dgram`. Heartbeats, timeouts and
#            `setInterval` of the whole process stand still, until the flood ends.
# Seen:      node dgram: timer of 1 ms after 36 ms, 32 datagrams
#            deno dgram: timer of 1 ms after 134 ms, 129 datagrams
#            deno listenDatagram: timer of 1 ms after 134 ms, 129 datagrams
#            bun dgram: timer of 1 ms after 2187 ms, 2172 datagrams
#            bun udpSocket: timer of 1 ms after 2209 ms, 2148 datagrams
#
# Ends with 0 as long as that is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --silent node@24.21.0 deno@2.9.6 bun@1.4.5

cat >sender.cjs <<'JS'
const socket = require("node:dgram").createSocket("udp4");
const start = Date.now();
let sent = 0;
const timer = setInterval(() => {
  const time = Date.now() - start;
  // What it could not send in time it makes up for.
  while (sent < 4 * time && sent < 8000) {
    socket.send("x", Number(process.argv[2]), "127.0.0.1");
    sent++;
  }
  if (time < 2000) return;
  clearInterval(timer);
  socket.close();
}, 5);
JS

cat >receiver.mjs <<'JS'
import { spawn } from "node:child_process";
import dgram from "node:dgram";
import process from "node:process";

const [, , api, node] = process.argv;
let datagrams = 0;
let first = 0;

function handle() {
  if (datagrams++ === 0) {
    // Until some wait.
    for (const end = performance.now() + 100; performance.now() < end;);
    first = performance.now();
    setTimeout(() => {
      console.log(`timer of 1 ms after ${Math.round(performance.now() - first)} ms, ${datagrams} datagrams`);
      setTimeout(() => process.exit(), 3000);
    }, 1);
  }
  for (const end = performance.now() + 1; performance.now() < end;);
}

let port;
if (api === "udpSocket") {
  ({ port } = await Bun.udpSocket({ hostname: "127.0.0.1", socket: { data: handle } }));
} else if (api === "listenDatagram") {
  const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  port = socket.addr.port;
  (async () => {
    for await (const _ of socket) handle();
  })();
} else {
  const socket = dgram.createSocket("udp4").on("message", handle);
  await new Promise((bound) => socket.bind(0, "127.0.0.1", bound));
  ({ port } = socket.address());
}
spawn(node, ["sender.cjs", String(port)], { stdio: "inherit" });
JS

bin="$folder/node_modules/.bin"
wrong=0
# Holds that the timer came after so many milliseconds at least, and at most: on a busy machine in one of three tries.
check() {
  local name=$1 least=$2 most=$3 line ms
  shift 3
  for _ in 1 2 3; do
    line=$(timeout 30 "$@" "$bin/node")
    echo "$name: $line"
    ms=$(sed -E 's/.* after ([0-9]+) ms,.*/\1/' <<<"$line")
    if ((ms >= least && ms <= most)); then return; fi
  done
  wrong=1
}
check "node dgram" 0 1000 "$bin/node" receiver.mjs dgram
check "deno dgram" 0 1000 "$bin/deno" run -A receiver.mjs dgram
check "deno listenDatagram" 0 1000 "$bin/deno" run -A --unstable-net receiver.mjs listenDatagram
check "bun dgram" 1500 30000 "$bin/bun" receiver.mjs dgram
check "bun udpSocket" 1500 30000 "$bin/bun" receiver.mjs udpSocket
exit "$wrong"
