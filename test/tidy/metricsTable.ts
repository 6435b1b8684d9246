/** The metrics in docs/OPERATING.md, taken from the registries that are scraped: `npm run docs` writes them. */
import assert from 'node:assert/strict';
import { DEFAULT_SETTINGS, MasterState } from '../../master/core/state.ts';
import { MasterMetrics } from '../../master/io/metrics.ts';
import { WorkerMetrics } from '../../worker/io/metrics.ts';

const BEGIN = '<!-- made by `npm run docs` from the code: -->';
const END = '<!-- end of what is made -->';

type Row = { name: string; kind: string; labels: readonly string[]; help: string };

/** Every metric of Gimmework's own, those of the master first. */
export function metricRows(): { master: Row[]; worker: Row[] } {
  const state = new MasterState('docs', 1, DEFAULT_SETTINGS, (text) => text);
  const nothing = { link: 'ws', notFrames: () => 0, epics: () => [], depths: () => ({}) };
  const master = new MasterMetrics({ version: '0', state, ...nothing });
  const zero = (): number => 0;
  const gauges = { slots: 0, running: zero, held: zero, heldMax: zero, link: 'ws', reconnects: zero };
  const worker = new WorkerMetrics('0', gauges);
  worker.close();
  return { master: master.rows, worker: worker.rows };
}

/** The page with its table of metrics made anew. */
export function withMetrics(page: string): string {
  const [before, rest] = page.split(BEGIN);
  const after = rest?.split(END)[1];
  assert.ok(before !== undefined && after !== undefined, 'the page has no place for the metrics');
  const { master, worker } = metricRows();
  const head = '| metric | kind | labels | on | meaning |\n|---|---|---|---|---|';
  const lines = [...rowsOf(master, worker, 'master'), ...rowsOf(worker, master, 'worker')].sort();
  return `${before}${BEGIN}\n${head}\n${lines.join('\n')}\n${END}${after}`;
}

/** One line for each metric; one that both have with the same meaning stands once. */
function rowsOf(rows: Row[], others: Row[], on: 'master' | 'worker'): string[] {
  return rows.flatMap(({ name, kind, labels, help }) => {
    const isBoth = others.some((other) => other.name === name && other.help === help);
    if (isBoth && on === 'worker') return [];
    const shown = labels.map((label) => `\`${label}\``).join(' ');
    return [`| \`${name}\` | ${kind} | ${shown} | ${isBoth ? 'both' : on} | ${help} |`];
  });
}
