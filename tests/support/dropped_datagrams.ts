// Dropped datagrams: how many the system has dropped as a receive buffer was full. Linux only.

import { readFileSync } from "node:fs";

/** Datagrams dropped so far, of all processes in this network namespace. */
export function droppedDatagrams(): number {
  const lines = readFileSync("/proc/net/snmp", "utf8").split("\n").filter((line) => line.startsWith("Udp:"));
  const [names = "", values = ""] = lines;
  return Number(values.split(" ")[names.split(" ").indexOf("RcvbufErrors")]);
}
