/** `gimme top`: what one look shows, keys, and a terminal that is left as it was. */
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { type TestContext, test } from 'node:test';
import { lookAt } from '../../../cli/commands/status.ts';
import { screenView, top } from '../../../cli/commands/top.ts';
import { topLine, topLines } from '../../../cli/topScreen.ts';
import { Client } from '../../../client/index.ts';
import { statusOf, worker } from '../http/fakeMaster.ts';
import { serveFake } from '../http/server.ts';
import { start } from './gimme.ts';

async function served(t: TestContext) {
  const fake = await serveFake(t);
  const totals = { ...statusOf('e').totals, read: 4_000, succeeded: 1_990, failed: 10, outstanding: 2_000 };
  const moving = { rate: 250, etaMs: 8_000, workers: 2, leased: 32, totals, total: 4_000 };
  fake.api.add({ name: 'weekly', bottleneck: 'workers: all are busy', ...moving });
  fake.api.add({ name: 'idle', bottleneck: 'no worker offers `greet` yet', rate: 3, etaMs: 9 });
  fake.api.offered = [worker('id-1', 'a', { held: 2 }), worker('id-2', 'b', { held: 30, slots: 16 })];
  return { ...fake, client: new Client({ master: fake.url }) };
}

test('a look shows epics with their speed, and the fullest workers first', async (t) => {
  const { client, url } = await served(t);
  const look = await lookAt(client, 100);
  const rows = topLines(look, 200, 24).map((line) => line.trim().split(/ {2,}/));
  assert.deepEqual(rows[0]?.slice(0, 3), ['master', url, 'ready']);
  assert.deepEqual(
    rows.slice(3, 6).map((row) => row.join(' | ')),
    [
      'EPIC | WORK | DONE | OF | % | RATE | ETA | FAILED | UNKNOWN | HELD | WAITS FOR',
      'idle | greet | 0 | 10 | 0 | - | - | 0 | 0 | 0 | no worker offers `greet` yet',
      'weekly | greet | 2,000 | 4,000 | 50 | 250/s | 8.0s | 10 | 0 | 32 | workers: all are busy',
    ],
  );
  assert.deepEqual(
    rows.slice(8, 10).map((row) => row.slice(0, 4)),
    [
      ['b', 'ready', '16', '30'],
      ['a', 'ready', '4', '2'],
    ],
  );
  assert.match(
    topLine(look),
    /^ready {3}epics 2 running {3}253\/s {3}outstanding 2,010 {3}workers 2 ready, 32 units held$/,
  );
});

test('no screen is higher or wider than the terminal', async (t) => {
  const { client, api } = await served(t);
  for (let i = 0; i < 40; i++) api.add();
  api.offered = Array.from({ length: 30 }, (_, i) => worker(`id-${i}`, `w-${i}`));
  const look = await lookAt(client, 100);
  for (const [columns, rows] of [
    [80, 24],
    [40, 12],
    [200, 50],
  ] as const) {
    const lines = topLines(look, columns, rows);
    assert.ok(lines.length < rows, `${lines.length} lines on ${rows} rows`);
    for (const line of lines) assert.ok(line.length < columns, line);
    assert.match(lines.at(-1) ?? '', /^epics \d+ of 42, workers \d+/);
  }
});

test('on a terminal it draws until q, says once that the master is gone, and leaves the terminal as it was', async (t) => {
  const { client, app } = await served(t);
  let text = '';
  const raw: boolean[] = [];
  const keys = Object.assign(new EventEmitter(), {
    isTTY: true,
    setRawMode: (on: boolean) => void raw.push(on),
    resume() {},
    pause() {},
  });
  let drawn: () => void = () => {};
  const until = (pattern: RegExp): Promise<void> =>
    new Promise((resolve) => {
      drawn = () => {
        if (pattern.test(text)) resolve();
      };
      drawn();
    });
  const screen = {
    isTTY: true,
    columns: 100,
    rows: 24,
    write: (more: string) => ((text += more), drawn(), true),
  };
  const stop = new AbortController();
  const view = screenView(screen, keys as never, () => stop.abort());
  const ended = top(client, view, 20, stop.signal);
  await until(/weekly/);
  await app.close();
  await until(/master is gone, trying again/);
  keys.emit('data', Buffer.from('x'));
  assert.equal(stop.signal.aborted, false);
  keys.emit('data', Buffer.from('q'));
  await ended;
  view.end();
  assert.deepEqual(raw, [true, false]);
  assert.equal(keys.listenerCount('data'), 0);
  assert.ok(text.startsWith('\u001b[?1049h\u001b[?25l') && text.endsWith('\u001b[?25h\u001b[?1049l'));
  assert.equal(text.match(/master is gone/g)?.length, 1);
});

test('without a terminal it writes a line for each look, and ends well when stopped', async (t) => {
  const { url } = await served(t);
  const env = { GIMMEWORK_MASTER: url };
  const lines = start(['top', '--every', '100ms'], env);
  await lines.says(/(ready {3}epics 2 running .*\n){3}/);
  lines.process.kill('SIGINT');
  const { code, stderr } = await lines.ended;
  assert.deepEqual([code, stderr], [0, '']);
  const json = start(['top', '-o', 'jsonl'], env);
  const first = (await json.says(/\n/)).split('\n')[0] ?? '';
  json.process.kill('SIGTERM');
  assert.equal((await json.ended).code, 0);
  assert.equal((JSON.parse(first) as { workers: unknown[] }).workers.length, 2);
});
