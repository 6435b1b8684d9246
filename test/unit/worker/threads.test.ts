/** Steps in threads, with real threads: what crosses the border, and what becomes of a unit whose thread does not. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { unreachable } from '../../../shared/core/errors.ts';
import type { WorkDefinition } from '../../../shared/core/work.ts';
import { MemoryNetwork } from '../../../shared/io/bus/memory.ts';
import { systemClock } from '../../../shared/io/clock.ts';
import { type Log, silentLog } from '../../../shared/io/log.ts';
import { prefixed, unitsOf } from '../../../shared/protocol/codec.ts';
import { Held, type Run } from '../../../worker/core/held.ts';
import type { Outcome } from '../../../worker/core/outcomes.ts';
import { Executor } from '../../../worker/io/executor.ts';
import { Preparations } from '../../../worker/io/preparations.ts';
import { WorkerRuntime } from '../../../worker/io/runtime.ts';
import { Threads } from '../../../worker/io/threads.ts';
import { manifestOf } from '../../../worker/main.ts';
import { Tally, within } from '../../cluster/signals.ts';
import * as fixture from '../../fixtures/threads/works.ts';

const MODULE = fileURLToPath(new URL('../../fixtures/threads/works.ts', import.meta.url));
const { told, ...exported } = fixture;
const WORKS = new Map(Object.values(exported).map((work) => [work.name, work as WorkDefinition]));
const dir = await mkdtemp(join(tmpdir(), 'gimmework-threads-'));
after(() => rm(dir, { recursive: true, force: true }));

/** An executor with threads, and a clock that the test moves. */
async function rig(t: TestContext, count = 1, works = [...WORKS.keys()]) {
  const lines = new Tally<{ message: string; fields: Record<string, unknown> }>('lines of the log');
  const info: Log['info'] = (message, fields = {}) => lines.add({ message, fields });
  const log = { ...silentLog, info };
  const threads = new Threads({
    modules: new Map(works.map((name) => [name, MODULE])),
    count,
    log,
  });
  const preparations = new Preparations();
  const bytes = Buffer.from(JSON.stringify({ brief: { greeting: 'hello' }, format: { type: 'json' } }));
  const brief = createHash('sha256').update(bytes).digest('hex');
  for (const work of WORKS.values()) await preparations.prepare(work, brief, bytes);
  const ends = new Map<Run, (outcome: Outcome) => void>();
  let nowMs = 0;
  let look: (() => void) | undefined;
  const executor: Executor = new Executor({
    works: WORKS,
    preparations,
    random: () => 0.5,
    monoMs: () => nowMs,
    setTimer: (_ms, fn) => {
      look = fn;
      return () => {
        look = undefined;
      };
    },
    log,
    ask: (run) => executor.proceed(Object.assign(run, { begun: true })),
    finish: (run, outcome) => ends.get(run)?.(outcome),
    threads,
  });
  t.after(async () => {
    executor.close();
    await threads.close();
  });
  return {
    lines,
    /** Starts a unit; its outcome is what this resolves with. */
    start: (work: string, unit: unknown, n = 0): { run: Run; ended: Promise<Outcome> } => {
      const token = { term: 1, n: 1, seal: 's' };
      const grant = { t: 'work', ...token, epic: 'e', work, brief, units: [n, n + 1] } as const;
      const run = new Held(grant, unitsOf(prefixed(Buffer.from(JSON.stringify(unit)))), {}).start();
      assert.ok(run);
      const outcome = new Promise<Outcome>((resolve) => {
        ends.set(run, resolve);
      });
      executor.start(run);
      return { run, ended: within(outcome, () => `the end of ${work} ${JSON.stringify(unit)}`) };
    },
    executor,
    /** Lets time pass, and the executor look at it. */
    pass: (ms: number): void => {
      nowMs += ms;
      look?.();
    },
  };
}

/** What an outcome says, without what is not the point. */
function gist(outcome: Outcome): unknown[] {
  switch (outcome.kind) {
    case 'ok':
    case 'skipped':
      return [outcome.kind];
    case 'retry':
      return [outcome.kind, outcome.code, outcome.attempt];
    case 'failed':
    case 'unknown':
      return [outcome.kind, outcome.code, outcome.message];
    default:
      return unreachable(outcome);
  }
}

test('a step in a thread gets its context and its brief, and what it returns arrives as it was', async (t) => {
  const { start, lines } = await rig(t);
  for (const n of [7, 8]) assert.equal((await start('tell', { n }, n).ended).kind, 'ok');
  const seen = told as { context: { brief: { prepared: number } }; threadId: number }[];
  const [first, second] = told as [Record<string, unknown>, Record<string, unknown>];
  const brief = { greeting: 'hello', prepared: 1 };
  const { threadId, ...rest } = first;
  assert.notEqual(threadId, 0, 'it ran on the main thread');
  assert.deepEqual(rest, {
    unit: { n: 7 },
    context: { brief, epic: 'e', attempt: 1, effectKey: 'e.7', unit: 7 },
    bytes: Buffer.from('é'),
    when: new Date(5),
    map: new Map([[1, 2]]),
  });
  assert.equal(String(first['bytes']), 'é', 'a Buffer stays one');
  assert.deepEqual(seen[1]?.context.brief, brief, 'the brief was prepared twice');
  assert.equal(second['threadId'], threadId, 'the thread was not used again');
  await lines.until(2);
  assert.deepEqual(
    lines.all,
    [7, 8].map((n) => ({ message: 'looked', fields: { n, work: 'tell', unit: `e.${n}`, step: 'look' } })),
  );
});

test('what a step in a thread throws or skips decides as it does elsewhere', async (t) => {
  const { start } = await rig(t);
  const outcome = async (unit: string) => start('faults', unit).ended;
  assert.deepEqual(await outcome('retryable'), {
    kind: 'retry',
    step: 0,
    attempt: 2,
    delayMs: 5,
    code: 'busy',
  });
  assert.deepEqual(gist(await outcome('permanent')), ['failed', 'gone', 'never']);
  assert.deepEqual(gist(await outcome('unknown')), ['unknown', 'torn', 'who knows']);
  assert.deepEqual(gist(await outcome('plain')), ['retry', 'step_failed', 2]);
  assert.deepEqual(gist(await outcome('text')), ['retry', 'step_failed', 2]);
  assert.deepEqual(gist(await outcome('skip')), ['skipped']);
  assert.deepEqual(gist(await outcome('fine')), ['ok']);
  assert.deepEqual(gist(await start('once', 'plain').ended), ['unknown', 'effect_unknown', 'plainly']);
  assert.deepEqual(gist(await start('once', 'retryable').ended), ['retry', 'busy', 2]);
});

test('what cannot be copied fails its unit for good, and says which step and what to do', async (t) => {
  const { start } = await rig(t);
  const [kind, code, message] = gist(await start('faults', 'function').ended);
  assert.deepEqual([kind, code], ['failed', 'not_cloneable']);
  assert.match(String(message), /^the output of step act cannot be copied .*thread: true$/);
  const input = gist(await start('closure', 'x').ended);
  assert.deepEqual(input.slice(0, 2), ['failed', 'not_cloneable']);
  assert.match(String(input[2]), /^the input of step call /);
  const [doubt, why] = gist(await start('once', 'function').ended);
  assert.deepEqual([doubt, why], ['unknown', 'not_cloneable'], 'its effect did happen');
});

test('a thread that ends fails its unit only, as one to be tried again or, at most once, as a doubt', async (t) => {
  const { start } = await rig(t);
  assert.deepEqual(gist(await start('faults', 'exit').ended), ['retry', 'step_failed', 2]);
  assert.deepEqual(gist(await start('faults', 'fine').ended), ['ok'], 'no thread took its place');
  const [kind, code, message] = gist(await start('once', 'exit').ended);
  assert.deepEqual([kind, code], ['unknown', 'effect_unknown']);
  assert.match(String(message), /its thread ended under it: worker exited with code: 3/);
});

test('a step that computes for ever is ended with its thread; the others go on', async (t) => {
  const { start, lines, pass } = await rig(t, 2);
  const { ended } = start('loop', 'for ever');
  await lines.until(1);
  assert.deepEqual(gist(await start('faults', 'fine').ended), ['ok'], 'the other thread waits for it');
  pass(10_001);
  pass(5_001);
  assert.deepEqual(gist(await ended), ['retry', 'step_timeout', 2]);
  const file = join(dir, 'both');
  const holding = start('hold', file);
  await lines.until(2);
  assert.deepEqual(gist(await start('faults', 'fine').ended), ['ok'], 'no thread took its place');
  await writeFile(file, '');
  assert.deepEqual(gist(await holding.ended), ['ok']);
});

test('the time of a step begins when it has a thread, not while it waits for one', async (t) => {
  const { start, lines, pass } = await rig(t);
  const file = join(dir, 'release');
  const holding = start('hold', file);
  await lines.until(1);
  const waiting = start('brisk', 'fine');
  pass(5_000);
  pass(5_000);
  await writeFile(file, '');
  assert.deepEqual(gist(await holding.ended), ['ok']);
  assert.deepEqual(gist(await waiting.ended), ['ok']);
});

test('a unit that is stopped leaves the queue at once, and in its thread its signal fires', async (t) => {
  const { start, lines, executor } = await rig(t);
  const holding = start('hold', join(dir, 'never'));
  await lines.until(1);
  const waiting = start('faults', 'fine');
  executor.abort(waiting.run, 'the epic was cancelled');
  assert.deepEqual(gist(await waiting.ended), ['retry', 'step_failed', 2]);
  executor.abort(holding.run, 'the epic was cancelled');
  assert.deepEqual(gist(await holding.ended), ['retry', 'step_failed', 2]);
  assert.deepEqual(gist(await start('faults', 'fine').ended), ['ok']);
});

test('a work that came as an object runs on the main thread, which is said once', async (t) => {
  const { start } = await rig(t, 1, []);
  told.length = 0;
  assert.deepEqual(gist(await start('tell', { n: 1 }).ended), ['ok']);
  assert.equal((told[0] as { threadId: number }).threadId, 0);
  const warned: unknown[] = [];
  const works = new Map([...WORKS].filter(([name]) => name === 'tell' || name === 'hold'));
  const manifests = [...works.values()].map(manifestOf);
  const threads = new Threads({ modules: new Map([['hold', MODULE]]), count: 1, log: silentLog });
  const runtime = new WorkerRuntime({
    identity: { name: 'w', works: manifests, labels: {}, slots: 1, version: '0' },
    works,
    bus: new MemoryNetwork().worker('w'),
    clock: systemClock,
    random: Math.random,
    log: {
      ...silentLog,
      warn: (message, fields) => warned.push([message, fields?.['work'], fields?.['steps']]),
    },
    threads,
  });
  assert.equal(runtime.held, 0);
  assert.deepEqual(warned, [['steps with thread: true run on the main thread', 'tell', 'look']]);
});
