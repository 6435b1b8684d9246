/** Bars and numbers of an epic that runs: what a person may conclude from them, and that they stand still. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { barLines, newLayout, numbersOf } from '../../../cli/bars.ts';
import { barsView, linesView } from '../../../cli/progress.ts';
import type { EpicStatus } from '../../../client/index.ts';
import { ended, statusOf } from '../http/fakeMaster.ts';

const NONE = { ...statusOf('e').totals, read: 0, outstanding: 0 };

/** An epic whose total is only estimated. */
function reading(total: number, read: number, succeeded: number, more: Partial<EpicStatus> = {}): EpicStatus {
  const totals = { ...NONE, read, succeeded, outstanding: read - succeeded };
  return { ...statusOf('e'), total, totalExact: false, totals, workers: 2, ...more };
}

test('a bar per step, the last with the numbers, none wider than the screen', () => {
  const counters = { done: 0, failed: 0, retried: 0 };
  const epic = {
    ...statusOf('e'),
    total: 10_000,
    totals: { ...statusOf('e').totals, read: 9_000, succeeded: 7_925, failed: 79, outstanding: 996 },
    steps: {
      render: { ...counters, done: 10_000 },
      send: { ...counters, done: 7_925, failed: 79, retried: 158 },
    },
    rate: 1_640,
    workers: 2,
    etaMs: 1_200,
  };
  assert.deepEqual(barLines(epic), [
    'render ████████████████████████ 10,000/10,000',
    'send   ███████████████████░░░░░  8,004/10,000  1,640/s  ok 7,925  failed 79  retried 158  eta 1.2s',
  ]);
  for (const columns of [40, 60, 80])
    for (const line of barLines(epic, columns)) assert.ok(line.length < columns);
});

test('a line says where units wait, once some are beyond their first step', () => {
  const epic = { ...reading(10, 6, 1), states: { fetch: 4, store: 1 } };
  assert.ok(barLines(epic).includes('      wait for: fetch 4, store 1'), barLines(epic).join('\n'));
  const none = { ...epic, states: { fetch: 5, store: 0 } };
  assert.ok(!barLines(none).join().includes('wait for'));
});

test('a bar does not stay behind what is settled', () => {
  const steps = { render: { done: 3, failed: 0, retried: 0 }, send: { done: 3, failed: 0, retried: 0 } };
  const [render] = barLines({ ...statusOf('e'), ...ended(2), steps });
  assert.equal(render, 'render ████████████████████████ 10/10');
});

test('a bar is empty while nothing is known, and full at the end of an empty epic', () => {
  const unread = reading(0, 0, 0, { workers: 0 });
  assert.deepEqual(barLines(unread), [`units ${'░'.repeat(24)} 0  ok 0  failed 0`]);
  const over = { ...unread, state: 'finished' as const, totalExact: true };
  assert.deepEqual(barLines(over), [`units ${'█'.repeat(24)} 0/0  ok 0  failed 0`]);
});

test('an estimated total is rounded, and columns and bar do not move while numbers change', () => {
  const layout = newLayout();
  const states = [
    reading(19_871, 512, 3, { rate: 9, etaMs: 720_000 }),
    reading(20_233, 4_608, 1_204, { rate: 1_204, etaMs: 8_500 }),
    reading(19_904, 8_000, 7_999, { rate: 95.5, etaMs: 900 }),
  ];
  const lines = states.map((state) => barLines(state, 100, layout)[0] as string);
  for (const line of lines) assert.match(line, /\d\/~20,000 /);
  const [, second = '', third = ''] = lines;
  for (const word of ['/~', '/s', ' ok', ' failed', ' eta']) {
    assert.ok(second.includes(word), word);
    assert.equal(third.indexOf(word), second.indexOf(word), `${word} moved: ${third}`);
  }
  assert.equal(third.lastIndexOf('░'), second.lastIndexOf('░'), 'the bar keeps its width');
});

test('no rate and no time to the end while no worker is there', () => {
  const left = reading(10, 10, 2, { rate: 4, etaMs: 2_000, workers: 0, totalExact: true });
  assert.equal(numbersOf(left), ' 2/10  ok 2  failed 0');
  assert.equal(numbersOf({ ...left, workers: 1 }), ' 2/10  4/s  ok 2  failed 0  eta 2.0s');
});

test('a note stands above the bars, and between the lines of a log', () => {
  let text = '';
  const screen = { columns: 80, write: (more: string) => ((text += more), true) } as NodeJS.WriteStream;
  const bars = barsView(screen);
  bars.show(reading(10, 10, 2));
  bars.note('master is gone, trying again');
  bars.end({ ...reading(10, 10, 2), ...ended(0) });
  const up = '\\u001b\\[1A\\r\\u001b\\[0J';
  assert.match(
    text,
    new RegExp(`^\\u001b\\[0Junits .*\\n${up}master is gone, trying again\\nunits .*\\n${up}units .*\\n$`),
  );
  text = '';
  const lines = linesView(screen);
  lines.show(reading(10, 10, 2, { bottleneck: 'workers: all are busy' }));
  lines.note('master is back');
  assert.equal(text, 'e:  2/~10  0/s  ok 2  failed 0  workers: all are busy\nmaster is back\n');
});
