/** A bar plot as SVG: panels one below the other, in each a bar for each system, from 0 on, with its ends marked. */
import type { Spread } from './spread.ts';
import { fixed, whole } from './table.ts';

export type Bar = { label: string; spread: Spread; isOurs: boolean };
export type Panel = { title: string; bars: readonly Bar[] };

const WIDTH = 760;
const LEFT = 190;
/** For the figure behind a bar. */
const RIGHT = 90;
const ROW = 24;
const HEAD = 40;
const BAR_HEIGHT = 14;
const STYLE = `text { font: 12px sans-serif; fill: #24292f }
.title { font-weight: bold }
.figure { fill: #57606a }
.ours { fill: #2f5d50 }
.theirs { fill: #c08a3e }
.ends { stroke: #24292f; stroke-width: 1.5 }`;

/** The plot; each panel has its own scale, up to its longest bar. */
export function plotSvg(panels: readonly Panel[]): string {
  const parts: string[] = [];
  let top = 0;
  for (const panel of panels) {
    parts.push(...panelParts(panel, top));
    top += HEAD + panel.bars.length * ROW;
  }
  const height = top + ROW / 2;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}">`,
    `<style>${STYLE}</style>`,
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    ...parts,
    '</svg>',
    '',
  ].join('\n');
}

function panelParts({ title, bars }: Panel, top: number): string[] {
  const longest = Math.max(Number.MIN_VALUE, ...bars.map(({ spread }) => spread.max));
  const x = (value: number): string => at(LEFT + (value / longest) * (WIDTH - LEFT - RIGHT));
  return [
    `<text class="title" x="10" y="${top + 26}">${escaped(title)}</text>`,
    ...bars.flatMap(({ label, spread: { median, min, max }, isOurs }, i) => {
      const y = top + HEAD + i * ROW;
      const middle = at(y + BAR_HEIGHT / 2);
      const base = y + BAR_HEIGHT - 3;
      const width = at(Number(x(median)) - LEFT);
      return [
        `<text x="${LEFT - 8}" y="${base}" text-anchor="end">${escaped(label)}</text>`,
        `<rect class="${isOurs ? 'ours' : 'theirs'}" x="${LEFT}" y="${y}" width="${width}" height="${BAR_HEIGHT}"/>`,
        `<line class="ends" x1="${x(min)}" x2="${x(max)}" y1="${middle}" y2="${middle}"/>`,
        `<text class="figure" x="${at(Number(x(max)) + 6)}" y="${base}">${median < 100 ? fixed(median, 1) : whole(median)}</text>`,
      ];
    }),
  ];
}

function at(position: number): string {
  return position.toFixed(1);
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
