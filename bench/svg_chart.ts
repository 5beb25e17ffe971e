/**
 * SVG charts, drawn without a library: existing ones draw into a browser's page or on a canvas, or bring a grammar of
 * graphics with them. The colours suit both a light and a dark page.
 *
 * @module
 */

/** A line of a chart. */
export interface Series {
  readonly name: string;
  readonly color: string;
  /** Whether it is drawn thin and dashed, and without a label. */
  readonly faint?: boolean;
  /** Points by their `x` and `y`, both above 0. */
  readonly points: readonly (readonly [x: number, y: number])[];
}

/** A bar of a chart. */
export interface Bar {
  readonly name: string;
  readonly color: string;
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

interface Titles {
  readonly title: string;
  /** What the chart shows, in words. */
  readonly description: string;
}

const WIDTH = 760;
const LEFT = 80;
const RIGHT = 120;
const TOP = 56;
const PLOT_HEIGHT = 320;
const BAR_HEIGHT = 18;
const BAR_LABELS = 190;
const GREY = "#7d8590";

/** Lines over two logarithmic axes. */
export function lineChart(
  titles: Titles,
  axes: { readonly x: string; readonly y: string; readonly ticks: readonly number[] },
  series: readonly Series[],
): string {
  const all = series.flatMap(({ points }) => points);
  const [bottom, top] = decades(all.map(([, y]) => y));
  const [first = 1, last = 10] = [axes.ticks[0], axes.ticks.at(-1)];
  const x = (value: number) => LEFT + (WIDTH - LEFT - RIGHT) * (Math.log(value / first) / Math.log(last / first));
  const y = (value: number) => TOP + PLOT_HEIGHT * (1 - Math.log10(value / bottom) / Math.log10(top / bottom));
  const grid: string[] = [];
  for (let tick = bottom; tick <= top * 1.01; tick *= 10) {
    grid.push(line(LEFT, y(tick), WIDTH - RIGHT, y(tick)), label(LEFT - 8, y(tick) + 4, short(tick), "end"));
  }
  for (const tick of axes.ticks) grid.push(label(x(tick), TOP + PLOT_HEIGHT + 20, tick.toLocaleString("en")));
  grid.push(
    label(x(Math.sqrt(first * last)), TOP + PLOT_HEIGHT + 42, axes.x),
    label(LEFT - 8, TOP - 14, axes.y, "end"),
  );
  // Labels keep the height of a line between them, however near the lines end.
  let above = -Infinity;
  const named = series.filter(({ faint }) => !faint).map((each) => ({ each, end: each.points.at(-1)?.[1] ?? bottom }))
    .sort((a, b) => b.end - a.end).map(({ each, end }) => {
      above = Math.max(y(end) + 4, above + 16);
      return label(WIDTH - RIGHT + 10, above, each.name, "start", each.color);
    });
  const lines = series.map(({ color, faint, points }) => {
    const path = points.map(([px, py], i) => `${i === 0 ? "M" : "L"}${round(x(px))} ${round(y(py))}`).join(" ");
    const style = faint ? `stroke-width="1.5" stroke-dasharray="4 4"` : `stroke-width="2.5"`;
    const dots = points.map(([px, py]) =>
      `<circle cx="${round(x(px))}" cy="${round(y(py))}" r="${faint ? 2 : 3.5}" fill="${color}"/>`
    );
    return [`<path d="${path}" fill="none" stroke="${color}" ${style}/>`, ...dots].join("\n");
  });
  return svg(titles, TOP + PLOT_HEIGHT + 56, [...grid, ...lines, ...named]);
}

/** Bars from 0, in groups, each with its value and the extremes of its rounds. */
export function barChart(
  titles: Titles,
  groups: readonly { readonly name: string; readonly bars: readonly Bar[] }[],
  show: (value: number) => string,
): string {
  const most = Math.max(...groups.flatMap(({ bars }) => bars.map(({ high }) => high)));
  const x = (value: number) => BAR_LABELS + (WIDTH - BAR_LABELS - RIGHT) * (value / most);
  const parts: string[] = [];
  let y = TOP;
  for (const { name, bars } of groups) {
    parts.push(label(16, y + 12, name, "start", GREY, true));
    y += BAR_HEIGHT + 4;
    for (const { name, color, value, low, high } of bars) {
      const middle = y + BAR_HEIGHT / 2;
      parts.push(
        label(BAR_LABELS - 8, middle + 4, name, "end"),
        `<rect x="${BAR_LABELS}" y="${y}" width="${
          round(Math.max(1, x(value) - BAR_LABELS))
        }" height="${BAR_HEIGHT}" ` +
          `rx="2" fill="${color}"/>`,
        `<path d="M${round(x(low))} ${middle} H${round(x(high))}" stroke="${GREY}" stroke-width="1.5"/>`,
        label(x(Math.max(value, high)) + 8, middle + 4, show(value), "start"),
      );
      y += BAR_HEIGHT + 4;
    }
    y += 12;
  }
  return svg(titles, y, parts);
}

function svg({ title, description }: Titles, height: number, parts: readonly string[]): string {
  const size = `width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}"`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" ${size} role="img" aria-labelledby="title description">`,
    `<title id="title">${escaped(title)}</title>`,
    `<desc id="description">${escaped(description)}</desc>`,
    `<g font-family="system-ui, sans-serif" font-size="13">`,
    label(16, 24, title, "start", GREY, true),
    ...parts,
    "</g>",
    "</svg>",
    "",
  ].join("\n");
}

function label(x: number, y: number, text: string, anchor = "middle", color = GREY, bold = false): string {
  const weight = bold ? ` font-weight="600"` : "";
  return `<text x="${round(x)}" y="${round(y)}" text-anchor="${anchor}" fill="${color}"${weight}>${
    escaped(text)
  }</text>`;
}

function line(x1: number, y1: number, x2: number, y2: number): string {
  return `<path d="M${round(x1)} ${round(y1)} L${round(x2)} ${round(y2)}" stroke="${GREY}" stroke-opacity="0.3"/>`;
}

/** The powers of ten around all values. */
function decades(values: readonly number[]): [bottom: number, top: number] {
  const bottom = 10 ** Math.floor(Math.log10(Math.min(...values)));
  const top = 10 ** Math.ceil(Math.log10(Math.max(...values)));
  return [bottom, Math.max(top, bottom * 10)];
}

function short(value: number): string {
  return String(Number(value.toPrecision(3)));
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
