import assert from 'node:assert/strict';
import { test } from 'node:test';
import { disagreements } from '../../../cli/commands/demo.ts';
import { arithmetic, details, exitCodeOf, oneLine, span, story, table } from '../../../cli/output.ts';
import { CLIENT, DEMO, MASTER, SMTP_STUB, WORKER } from '../../../cli/settings.ts';
import { GimmeError } from '../../../shared/core/errors.ts';
import { readConfig, type Settings } from '../../../shared/io/config.ts';
import { ended, statusOf } from '../http/fakeMaster.ts';

test('the arithmetic line', () => {
  const totals = { ...statusOf('e').totals, read: 10_000, succeeded: 9_900, failed: 100, outstanding: 0 };
  const line = arithmetic(totals);
  assert.equal(
    line,
    'read 10,000 = succeeded 9,900 + failed 100 + unknown 0 + skipped 0 + cancelled 0 + missing 0 + outstanding 0',
  );
});

test('exit codes of ends', () => {
  const epic = statusOf('e');
  assert.equal(exitCodeOf(epic), 0);
  assert.equal(exitCodeOf({ ...epic, ...ended(0) }), 0);
  assert.equal(exitCodeOf({ ...epic, ...ended(1) }), 6);
  assert.equal(exitCodeOf({ ...epic, state: 'failed' }), 5);
  assert.equal(exitCodeOf({ ...epic, state: 'cancelled' }), 5);
});

test('an epic that closes says what is cancelled and what may still come', () => {
  const totals = { ...statusOf('e').totals, read: 5_000, cancelled: 4_984, outstanding: 16 };
  const closing = { ...statusOf('e'), reason: 'wrong subject', totals, totalExact: false };
  assert.deepEqual(story(closing), [
    '… e is being cancelled: wrong subject',
    `  ${arithmetic(totals)}`,
    '  4,984 units are cancelled; 16 on workers may still report how they ended, for at most 30.0s; ' +
      'the rest of the source is being counted',
  ]);
  const over = {
    ...closing,
    state: 'cancelled' as const,
    totals: { ...totals, cancelled: 5_000, outstanding: 0 },
  };
  assert.deepEqual(story(over).length, 2);
  assert.match(story({ ...over, reason: '' })[0] ?? '', /^✗ e cancelled$/);
});

test('details of an epic: no speed while no worker is there', () => {
  const epic = { ...statusOf('e'), rate: 12, etaMs: 3_000 };
  assert.equal(details(epic).at(-1), '  0 on workers, 0 waiting for a retry   0 workers');
  assert.equal(
    details({ ...epic, workers: 1 }).at(-1),
    '  12/s   eta 3.0s   0 on workers, 0 waiting for a retry   1 worker',
  );
});

test('spans and harmless lines', () => {
  assert.deepEqual([400, 7_400, 192_000, 7_500_000].map(span), ['0.4s', '7.4s', '3m 12s', '2h 5m']);
  assert.equal(oneLine('a\r\nb\u001b[2Jc\u202e'), 'a b [2Jc');
});

test('a table aligns words left and numbers right', () => {
  assert.deepEqual(
    table(
      ['NAME', 'N'],
      [
        ['a', '1,000'],
        ['long', '2'],
      ],
    ),
    ['NAME      N', 'a     1,000', 'long      2'],
  );
});

test('the demo finds every disagreement between epic and mail server', () => {
  const epic = { ...statusOf('e'), ...ended(2) };
  const counts = { accepted: 8, distinct: 8, duplicates: 0 };
  assert.deepEqual(disagreements(epic, counts, 10), []);
  const found = (...args: Parameters<typeof disagreements>) => disagreements(...args).join('; ');
  assert.match(found(epic, { ...counts, distinct: 7 }, 10), /epic counts 8 sent, the mail server 7/);
  assert.match(found(epic, { ...counts, duplicates: 1 }, 10), /1 mails twice/);
  assert.match(found(epic, counts, 11), /read 10, but there are 11/);
  assert.match(found({ ...epic, state: 'cancelled' }, counts, 10), /cancelled, not finished/);
  const torn = { ...epic.totals, failed: 1 };
  assert.match(found({ ...epic, totals: torn }, counts, 10), /arithmetic does not hold/);
  const unsure = { ...epic.totals, failed: 1, unknown: 1 };
  assert.match(found({ ...epic, totals: unsure }, counts, 10), /1 units are unknown/);
});

test('settings: flag before environment before default', () => {
  const env = { GIMMEWORK_LISTEN: '[::1]:80', GIMMEWORK_DATA: '' };
  assert.deepEqual(readConfig(MASTER, {}, env).listen, { host: '::1', port: 80 });
  assert.deepEqual(readConfig(MASTER, { listen: 'h:0' }, env).listen, { host: 'h', port: 0 });
  assert.equal(readConfig(MASTER, {}, env).data, './gimmework-data');
  const worker = readConfig(WORKER, { works: ['a', 'b'], label: ['k=v', 'area=a=b'] }, {});
  assert.deepEqual([worker.works, worker.label, worker.slots], [['a', 'b'], { k: 'v', area: 'a=b' }, 16]);
  const stub = readConfig(SMTP_STUB, { defer: '2.5%', reject: '0.5', latency: '20ms' }, {});
  assert.deepEqual([stub.defer, stub.reject, stub.latency], [0.025, 0.5, 20]);
});

test('settings: a duration says its unit, wherever it comes from; only 0 may stand alone', () => {
  const latency = (text: string) => readConfig(SMTP_STUB, { latency: text }, {}).latency;
  assert.deepEqual(['0', '0ms', '1.5s', '2m'].map(latency), [0, 0, 1_500, 120_000]);
  for (const bare of ['3', ' 20 ', '1.5'])
    assert.throws(() => latency(bare), {
      message: `--latency ${bare.trim()}: say the unit, such as ${bare.trim()}s`,
    });
  const env = { GIMMEWORK_WORKS: 'w', GIMMEWORK_SMTP_RETRY_FIRST: '5' };
  assert.throws(() => readConfig(WORKER, {}, env), /^GimmeError: GIMMEWORK_SMTP_RETRY_FIRST 5: say the unit/);
});

test('settings: all faults at once, and never a secret', () => {
  const flags = { slots: '1e3', label: ['nokey'], smtp: 'http://user:hunter2@x' };
  assert.throws(
    () => readConfig(WORKER, flags, { GIMMEWORK_LOG_LEVEL: 'loud' }),
    (error: unknown) => {
      assert.ok(error instanceof GimmeError && error.code === 'bad_config');
      const faults = error.message.split('; ');
      assert.equal(faults.length, 5, error.message);
      for (const name of ['--works', '--slots', '--label', '--smtp', 'GIMMEWORK_LOG_LEVEL']) {
        assert.ok(
          faults.some((fault) => fault.startsWith(name)),
          `${name} in ${error.message}`,
        );
      }
      assert.doesNotMatch(error.message, /hunter2/);
      return true;
    },
  );
});

test('each row of a table is named as commander names its option', () => {
  for (const table of [CLIENT, DEMO, MASTER, SMTP_STUB, WORKER] as Settings[]) {
    for (const [name, { flag, env, secret }] of Object.entries(table)) {
      if (flag === undefined) {
        assert.ok(secret && env, `${name} can come from nowhere`);
        continue;
      }
      const long = /--([a-z-]+)/.exec(flag)?.[1] ?? '';
      assert.equal(
        long.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase()),
        name,
      );
    }
  }
});
