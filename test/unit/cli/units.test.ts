/** The commands about units, pauses and second tries against a fake master: what they show, ask for and end with. */
import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { ended, keptUnit } from '../http/fakeMaster.ts';
import { serveFake } from '../http/server.ts';
import { gimme, start } from './gimme.ts';

async function served(t: TestContext) {
  const fake = await serveFake(t);
  const env = { GIMMEWORK_MASTER: fake.url };
  fake.api.add({ name: 'weekly', faults: { smtp_rejected: 2, odd: 1 } });
  fake.api.kept = [
    keptUnit(2, { key: 'a@example.com', data: 'a@example.com,Ada' }),
    keptUnit(5, { message: `no\n\u001b[2J${'x'.repeat(200)}` }),
    keptUnit(9, { state: 'unknown', code: 'odd' }),
  ];
  return {
    ...fake,
    run: (...args: string[]) => gimme(['epic', ...args], env),
    begin: (...args: string[]) => start(['epic', ...args], env),
  };
}

describe('units on the command line', { concurrency: 3 }, () => {
  test('failures: a line for each code, and what to do next; nothing where all went well', async (t) => {
    const { run, api } = await served(t);
    const text = await run('failures', 'weekly');
    assert.equal(text.code, 0, text.stderr);
    assert.match(
      text.stdout,
      /^CODE +UNITS +FIRST +KEY +WHAT IT SAYS\nsmtp_rejected +2 +2 +a@example\.com +550 No/,
    );
    assert.equal(text.stderr, 'Next: gimme epic units epic-1 --code smtp_rejected\n', 'it still runs');
    api.change('epic-1', ended(3));
    const over = await run('failures', 'weekly', '-o', 'jsonl');
    assert.deepEqual(
      over.stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).count),
      [2, 1],
    );
    assert.match(over.stderr, / \| gimme epic retry epic-1\n$/);
    api.add({ name: 'clean' });
    const clean = await run('failures', 'clean');
    assert.deepEqual([clean.code, clean.stdout], [0, '']);
    assert.equal(clean.stderr, 'no unit of clean has failed or is unknown\n');
  });

  test('units: filtered, by pages, one harmless line each', async (t) => {
    const { run } = await served(t);
    const first = await run('units', 'weekly', '--limit', '2');
    const lines = first.stdout.split('\n');
    assert.match(lines[0] ?? '', /^UNIT +RECORD +STATE +CODE +STEP +ATTEMPT +KEY +WHAT IT SAYS$/);
    assert.match(
      lines[1] ?? '',
      /^ +2 +3 +failed +smtp_rejected +send +1 +a@example\.com +550 No such mailbox here$/,
    );
    assert.match(lines[2] ?? '', / no \[2Jx+…$/);
    assert.equal(first.stderr, 'Next: gimme epic units weekly --limit 2 --cursor 5\n');
    const rest = await run('units', 'weekly', '--cursor', '5', '-o', 'json');
    assert.deepEqual(JSON.parse(rest.stdout), { units: [keptUnit(9, { state: 'unknown', code: 'odd' })] });
    const doubt = await run('units', 'weekly', '--state', 'unknown', '--code', 'odd', '-o', 'jsonl');
    assert.equal(JSON.parse(doubt.stdout).unit, 9);
    const none = await run('units', 'weekly', '--key', 'nobody@example.com');
    assert.deepEqual([none.code, none.stdout], [0, '']);
    assert.match(none.stderr, /no unit is kept that fits/);
    const wrong = await run('units', 'weekly', '--state', 'lost');
    assert.deepEqual([wrong.code, /--state/.test(wrong.stderr)], [2, true], wrong.stderr);
    assert.equal((await run('units', 'nobody')).code, 7);
  });

  test('why: of an epic what it waits for and what its codes ask; of a unit its story, by number and by key', async (t) => {
    const { run, api } = await served(t);
    api.change('epic-1', { bottleneck: 'it is paused: wrong footer', paused: 'wrong footer', delayed: 4 });
    const epic = await run('why', 'weekly');
    assert.equal(epic.code, 0, epic.stderr);
    assert.match(epic.stdout, /^‖ weekly is paused: wrong footer\n/);
    assert.match(epic.stdout, /4 waiting for a retry/);
    assert.match(
      epic.stdout,
      /\n {2}smtp_rejected: The mail server refused for good; the message is its reply\.\n/,
    );
    assert.doesNotMatch(epic.stdout, /\n {2}odd:/, 'a code of the work has no advice of ours');
    assert.match(epic.stderr, /^Next: gimme epic units epic-1 --code smtp_rejected\n$/);
    for (const name of ['2', 'a@example.com', 'key:a@example.com']) {
      const unit = await run('why', 'weekly', name);
      assert.deepEqual(unit.stdout.split('\n'), [
        'unit 2 (record 3, a@example.com) is failed: it failed',
        '  data  a@example.com,Ada',
        '  2024-01-01T00:00:01.000Z  it was read from the source',
        '',
      ]);
    }
    const json = await run('why', 'weekly', '9', '-o', 'json');
    assert.equal(JSON.parse(json.stdout).state, 'unknown');
    assert.equal((await run('why', 'weekly', '7')).code, 7);
  });

  test('retry: counts, submits, follows; unknown units with the name of the epic', async (t) => {
    const { run, begin, api } = await served(t);
    const dry = await run('retry', 'weekly', '--dry-run');
    const left = '; 1 are left out: a retry before has done them or is at it';
    assert.deepEqual([dry.code, dry.stdout, dry.stderr], [0, `would try again 2 units${left}\n`, '']);
    const made = await run('retry', 'weekly', '--code', 'odd');
    assert.equal(made.stdout, `submitted weekly-retry as epic-2: 2 units${left}\n`);
    assert.equal(made.stderr, 'Next: gimme epic watch epic-2\n');
    assert.deepEqual(api.retried.at(-1)?.body, { states: ['failed'], code: 'odd' });
    const doubt = await run('retry', 'weekly', '--state', 'unknown', '--confirm', 'weekly', '-o', 'json');
    assert.deepEqual([JSON.parse(doubt.stdout).count, JSON.parse(doubt.stdout).epic.id], [1, 'epic-3']);
    assert.deepEqual(api.retried.at(-1)?.body, { states: ['unknown'], confirm: 'weekly' });
    const watching = begin('retry', 'weekly', '--watch');
    await watching.says(/weekly-retry: .*0\/10/);
    api.change('epic-4', ended(2));
    const { code, stdout } = await watching.ended;
    assert.equal(code, 6);
    assert.match(stdout, /^✓ weekly-retry finished/);
    api.kept = [];
    const none = await run('retry', 'weekly');
    assert.deepEqual([none.code, none.stderr], [8, 'gimme: nothing of epic epic-1 is to be tried again\n']);
  });

  test('pause and resume, as get and ls show them', async (t) => {
    const { run, api } = await served(t);
    const paused = await run('pause', 'weekly', '--reason', 'wrong footer');
    assert.equal(paused.code, 0, paused.stderr);
    assert.match(paused.stdout, /^‖ weekly is paused: wrong footer\n {2}read 10 = /);
    assert.equal(paused.stderr, 'Next: gimme epic resume epic-1\n');
    api.add({ name: 'weekly-retry', retryOf: 'epic-1', delayed: 3 });
    const list = await run('ls');
    assert.match(list.stdout, /epic-1 +weekly +greet +paused .* paused: wrong footer\n/);
    assert.match(list.stdout, /epic-2 .* running .* 3 waiting for a retry; retry of epic-1\n/);
    assert.match((await run('get', 'epic-2')).stdout, /\n {2}retry of epic-1\n/);
    const resumed = await run('resume', 'weekly', '-o', 'json');
    assert.equal(JSON.parse(resumed.stdout).paused, undefined);
    const plain = await run('pause', 'weekly');
    assert.match(plain.stdout, /is paused: no reason was given/);
    assert.equal((await run('pause', 'nobody')).code, 7);
  });
});
