/**
 * Two cables with both ends in a network namespace of the test's own, and routes that send multicast into the first:
 * what `lo` cannot show is visible, and datagrams without a named interface cannot leave the machine.
 *
 * @module
 */

import { spawnSync } from "node:child_process";
import { networkInterfaces } from "node:os";

/** Addresses besides the first, in the form of RFC 5952. */
export const MORE_IPV6: readonly string[] = ["fd77::1:0:0:1", "fd77::1:0:1:1:1", "fd77:0:1:1:1:1:1:1", "fd77::a0:b00"];

export const FIRST = { device: "cable0", ipv4: "10.77.0.1", ipv6: "fd77::1" } as const;
export const SECOND = { device: "cable2", ipv4: "10.78.0.1", ipv6: "fd78::1" } as const;

/** A shell script that makes both. IPv6 is omitted where the system has none. */
export const MAKE_CABLES = `
  ip link set lo up
  ${script(FIRST, "cable1")}
  ip route add 224.0.0.0/4 dev ${FIRST.device}
  if [ -d /proc/sys/net/ipv6 ]; then
    ip -6 route add multicast ff00::/8 dev ${FIRST.device} table local metric 100
    ${MORE_IPV6.map((address) => `ip address add ${address}/128 dev ${FIRST.device} nodad preferred_lft 0`).join("\n")}
  fi
  ${script(SECOND, "cable3")}
`;

/** Deletes the second, as when an adapter is pulled out. */
export function deleteSecond(): void {
  run(`ip link delete ${SECOND.device}`);
}

/** Makes the second again, with its old name and addresses. */
export function makeSecond(): void {
  run(script(SECOND, "cable3"));
}

/** The link-local address of the first, with its zone. */
export function linkLocal(): string | undefined {
  const found = networkInterfaces()[FIRST.device]?.find(({ address }) => address.startsWith("fe80:"));
  return found === undefined ? undefined : `${found.address}%${FIRST.device}`;
}

/** Without duplicate address detection, for a second or two of which an address cannot be used. */
function script({ device, ipv4, ipv6 }: typeof FIRST | typeof SECOND, far: string): string {
  return `
    ip link add ${device} type veth peer name ${far}
    ip address add ${ipv4}/24 dev ${device}
    if [ -d /proc/sys/net/ipv6 ]; then
      echo 0 > /proc/sys/net/ipv6/conf/${device}/accept_dad
      echo 1 > /proc/sys/net/ipv6/conf/${far}/disable_ipv6
      ip address add ${ipv6}/64 dev ${device} nodad
    fi
    ip link set ${device} up
    ip link set ${far} up
    # The runtimes list what has been found to be in working order, which the system looks into by and by.
    until ip link show ${device} | grep -q "state UP"; do sleep 0.005; done
  `;
}

function run(script: string): void {
  const { status, stderr } = spawnSync("sh", ["-e", "-c", script], { encoding: "utf8" });
  if (status !== 0) throw new Error(`${script}: ${stderr}`);
}
