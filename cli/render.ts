/**
 * Text report: renders a report for the terminal.
 *
 * @module
 */

import * as util from "node:util";
import type { Finding, Paths, PeerDiagnosis, Severity } from "../mod.ts";
import type { DoctorReport } from "./doctor.ts";

type Format = "bold" | "dim" | "red" | "yellow" | "green" | "cyan";

/** Colours a text, or leaves it as it is. */
export type Paint = (format: Format, text: string) => string;

/** Leaves texts as they are. */
export const plain: Paint = (_, text) => text;

/** Colours of the terminal; none on Node before 20.12, which has no `styleText`. */
export const coloured: Paint = (format, text) =>
  typeof util.styleText === "function" ? util.styleText(format, text, { validateStream: false }) : text;

const MARKS: Readonly<Record<Severity, readonly [mark: string, format: Format]>> = {
  error: ["✖", "red"],
  warning: ["▲", "yellow"],
  info: ["●", "cyan"],
};
/** Largest numbers of peers and of unknown nodes that are listed. */
const MOST_PEERS = 32;
const MAX_UNKNOWN_NODES = 32;

/** Renders the report as text, with a line break at its end. */
export function render(report: DoctorReport, paint: Paint): string {
  const { node, interfaces, peers, unknownNodes, moreUnknownNodes, findings } = report;
  const lines: string[] = [];
  if (node !== null) {
    const { address, adapter, group, heartbeat, id, port } = node;
    lines.push(
      `${paint("bold", "This node")}  ${address}  ${paint("dim", `${id}, adapter ${adapter}`)}`,
      `           port ${port}, group ${group}, heartbeat ${heartbeat} ms`,
      "",
      paint("bold", "Interfaces"),
      ...table([
        ["name", "address", "multicast", "loopback"],
        ...interfaces.map((one) => [one.name ?? "?", one.address, yes(one.multicast), yes(one.returned)]),
      ], paint),
      "",
      paint("bold", `Peers (${peers.length})`),
      ...table([PEER_HEAD, ...peers.slice(0, MOST_PEERS).map(peerRow)], paint),
      ...more(peers.length - MOST_PEERS),
      "",
    );
  }
  if (unknownNodes.length > 0) {
    lines.push(
      paint("bold", `Nodes of other meshes (${unknownNodes.length + moreUnknownNodes})`),
      ...table([
        ["address", "interface", "port", "group", "heartbeat", "multicast"],
        ...unknownNodes.slice(0, MAX_UNKNOWN_NODES).map((one) => [
          one.address,
          one.interface,
          `${one.port}`,
          one.group,
          one.heartbeat === null ? "?" : `${one.heartbeat} ms`,
          yes(one.multicast),
        ]),
      ], paint),
      ...more(unknownNodes.length - MAX_UNKNOWN_NODES + moreUnknownNodes),
      "",
    );
  }
  lines.push(...findings.flatMap((finding) => findingLines(finding, paint)));
  const count = (severity: Severity) => findings.filter((finding) => finding.severity === severity).length;
  const [errors, warnings] = [count("error"), count("warning")];
  if (errors + warnings === 0) lines.push(paint("green", "✔ All is well"));
  else lines.push(paint(errors > 0 ? "red" : "yellow", `${many(errors, "error")}, ${many(warnings, "warning")}`));
  return `${lines.join("\n")}\n`;
}

const PEER_HEAD = ["address", "inbound", "outbound", "round trip", "lost", "largest in/out", "staleness"];

function peerRow(peer: PeerDiagnosis): readonly string[] {
  const { address, largest, lost, plain, probes, roundTrip, staleness } = peer;
  return [
    address,
    plain ? "go-warp's wire" : pathsText(peer, "in"),
    plain ? "?" : pathsText(peer, "out"),
    roundTrip === null ? "?" : `${roundTrip.toFixed(2)} ms`,
    probes === 0 ? "?" : `${lost}/${probes}`,
    `${largest.in ?? "?"}/${largest.out ?? "?"}`,
    staleness === null || staleness === Infinity ? "?" : `${Math.round(staleness)} ms`,
  ];
}

function pathsText({ multicast, unicast }: PeerDiagnosis, direction: keyof Paths): string {
  const open = [...unicast[direction] ? ["unicast"] : [], ...multicast[direction] ? ["multicast"] : []];
  if (open.length > 0) return open.join(", ");
  return unicast[direction] === null && multicast[direction] === null ? "?" : "nothing";
}

function findingLines({ advice, code, message, severity, subject }: Finding, paint: Paint): readonly string[] {
  const [mark, format] = MARKS[severity];
  return [
    `${paint(format, `${mark} ${severity} ${code}`)}  ${paint("bold", subject)}`,
    `  ${message}`,
    `  → ${advice}`,
    `  ${paint("dim", `docs/troubleshooting.md#${code}`)}`,
    "",
  ];
}

/** Renders rows as a table; the first row is the head. */
function table(rows: readonly (readonly string[])[], paint: Paint): readonly string[] {
  if (rows.length === 1) return ["  none"];
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  return rows.map((row, i) => {
    const line = `  ${row.map((cell, j) => cell.padEnd(widths[j] ?? 0)).join("  ")}`.trimEnd();
    return i === 0 ? paint("dim", line) : line;
  });
}

function more(count: number): readonly string[] {
  return count > 0 ? [`  and ${count} more`] : [];
}

function yes(value: boolean | null): string {
  return value === null ? "?" : value ? "yes" : "no";
}

function many(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}
