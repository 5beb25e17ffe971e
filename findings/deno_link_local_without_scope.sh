#!/usr/bin/env bash
# Deno tells of a link-local sender without its interface, and an answer to that leaves by whichever comes first.
#
# Versions:  deno 2.9.6, beside node 24.21.0 and bun 1.4.5, from npm; Linux. Takes iproute2, unshare and nsenter.
# Input:     a host with two interfaces, a neighbour at each. Each neighbour sends a datagram from its link-local address to
#            the link-local address of the host, which answers to the address that its runtime reports.
# Expected:  both neighbours get the answer. An IPv6 link-local address says nothing without its interface, which
#            recvfrom(2) gives in sin6_scope_id.
# Behaviour: Node and Bun report `fe80::…%right`. Deno reports `fe80::…`, with `Deno.listenDatagram` and with `node:dgram`. What
#            is sent there leaves by the interface whose route comes first; `send` resolves with the length, or calls back
#            without an error, and the neighbour at the other interface gets nothing.
# Seen:      node dgram: left 1 answers, right 1
#            bun udpSocket: left 1 answers, right 1
#            deno dgram: left 1 answers, right 0
#            deno listenDatagram: left 1 answers, right 0
#
# Ends with 0 as long as that is so.
set -euo pipefail
if [ -z "${FOLDER-}" ]; then
  FOLDER=$(mktemp -d)
  trap 'rm -rf "$FOLDER"' EXIT
  (cd "$FOLDER" && npm init -y >/dev/null && npm install --no-audit --no-fund --silent node@24.21.0 deno@2.9.6 bun@1.4.5)
  FOLDER=$FOLDER unshare --user --map-root-user --net bash "$0"
  exit
fi

cd "$FOLDER"
cat >host.mjs <<'JS'
import process from "node:process";

const [, , api] = process.argv;
if (api === "udpSocket") {
  const { port } = await Bun.udpSocket({
    hostname: "::",
    socket: { data: (socket, _data, port, address) => void socket.send("answer", port, address) },
  });
  console.log(port);
} else if (api === "listenDatagram") {
  const socket = Deno.listenDatagram({ transport: "udp", hostname: "::", port: 0 });
  console.log(socket.addr.port);
  for await (const [, from] of socket) await socket.send(new TextEncoder().encode("answer"), from);
} else {
  const { createSocket } = await import("node:dgram");
  const socket = createSocket("udp6");
  socket.on("message", (_data, { port, address }) => socket.send("answer", port, address));
  socket.bind(0, "::", () => console.log(socket.address().port));
}
JS
cat >neighbour.cjs <<'JS'
const [, , address, port] = process.argv;
const socket = require("node:dgram").createSocket("udp6");
let answers = 0;
socket.on("message", () => answers++);
socket.send("question", Number(port), address);
setTimeout(() => {
  console.log(answers);
  socket.close();
}, 1000);
JS

bin="$FOLDER/node_modules/.bin"
ip link set lo up
for link in left right; do
  unshare --net sleep 300 &
  declare "$link=$!"
  # It is there when its namespace is another one.
  until [ "$(readlink "/proc/$!/ns/net")" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.1; done
  ip link add "$link" type veth peer name "$link" netns "$!"
  ip link set "$link" up
  nsenter --net --target "$!" ip link set "$link" up
done
trap 'kill "$left" "$right"' EXIT
# Addresses are tentative for about two seconds.
for target in self "$left" "$right"; do
  until [ -z "$(nsenter --net="/proc/$target/ns/net" ip -6 address show tentative)" ]; do sleep 0.2; done
done

wrong=0
check() {
  local name=$1 expected=$2 host port answers=()
  shift 2
  "$@" >"port" 2>/dev/null &
  host=$!
  until [ -s port ]; do sleep 0.1; done
  port=$(cat port)
  for link in left right; do
    local address
    address=$(ip -6 address show dev "$link" scope link | sed -nE 's|.*inet6 ([^/]+)/.*|\1|p')
    answers+=("$(nsenter --net --target "${!link}" "$bin/node" neighbour.cjs "$address%$link" "$port")")
  done
  kill "$host"
  wait "$host" 2>/dev/null || true
  : >port
  echo "$name: left ${answers[0]} answers, right ${answers[1]}"
  if [ "${answers[*]}" != "$expected" ]; then wrong=1; fi
}
check "node dgram" "1 1" "$bin/node" host.mjs dgram
check "bun udpSocket" "1 1" "$bin/bun" host.mjs udpSocket
check "deno dgram" "1 0" "$bin/deno" run -A host.mjs dgram
check "deno listenDatagram" "1 0" "$bin/deno" run -A --unstable-net host.mjs listenDatagram
exit "$wrong"
