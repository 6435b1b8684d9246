import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { GimmeError } from '../../../../shared/core/errors.ts';
import { LOG_VALUE_CHARS_MAX } from '../../../../shared/core/limits.ts';
import { FakeClock } from '../../../../shared/io/clock.ts';
import { createLog, type LogFormat, type LogLevel } from '../../../../shared/io/log.ts';

function logged(format: LogFormat, level: LogLevel = 'debug') {
  const lines: string[] = [];
  const clock = new FakeClock(Date.UTC(2026, 10, 20, 21, 0, 0, 999));
  return { lines, log: createLog({ level, format, write: (line) => lines.push(line), clock }) };
}

test('a text line is time, level, message and fields', () => {
  const { lines, log } = logged('text');
  log.warn('worker cut', {
    session: 'w-1',
    why: 'it does not read',
    bytes: 12,
    odd: 'a="b"\\',
    none: undefined,
  });
  assert.deepEqual(lines, [
    '2026-11-20T21:00:00Z warn worker cut session=w-1 why="it does not read" bytes=12 odd="a=\\"b\\"\\\\" none=undefined\n',
  ]);
});

test('a JSON line is one object; a field cannot pass for the line’s own members', () => {
  const { lines, log } = logged('json');
  log.info('hello', { epic: 'e1', count: 2, level: 'forged', list: [1, { a: true }] });
  assert.deepEqual(JSON.parse(lines[0] ?? ''), {
    time: '2026-11-20T21:00:00Z',
    level: 'info',
    message: 'hello',
    epic: 'e1',
    count: 2,
    level_: 'forged',
    list: [1, { a: true }],
  });
});

test('what is below the level is not written', () => {
  const { lines, log } = logged('text', 'warn');
  for (const level of ['debug', 'info', 'warn', 'error'] as const) log[level](level);
  assert.deepEqual(
    lines.map((line) => line.split(' ')[1]),
    ['warn', 'error'],
  );
});

test('control characters are escaped wherever they stand, so that one event is one harmless line', () => {
  const evil = 'a\nb\r\u001b[2J\u007f\u009b\u2028\u202e\u0000';
  for (const format of ['text', 'json'] as const) {
    const { lines, log } = logged(format);
    log.error(evil, { [`key${evil}`]: evil, nested: { evil }, error: new Error(evil) });
    assert.equal(lines.length, 1);
    assert.doesNotMatch((lines[0] ?? '').slice(0, -1), /[\p{Cc}\u2028\u202e]/u);
    if (format === 'json') {
      const parsed = JSON.parse(lines[0] ?? '') as Record<string, unknown>;
      assert.deepEqual([parsed.message, parsed[`key${evil}`], parsed.nested], [evil, evil, { evil }]);
    }
  }
});

test('it never throws, and shows what it can', () => {
  const circle: Record<string, unknown> = {};
  circle.self = circle;
  const fields = {
    circle,
    big: 12n,
    not: Number.NaN,
    symbol: Symbol('s'),
    fn: () => 1,
    get thrower(): string {
      throw new Error('no');
    },
    last: 'still here',
  };
  for (const format of ['text', 'json'] as const) {
    const { lines, log } = logged(format);
    log.info('odd things', fields);
    assert.match(lines[0] ?? '', /12.*NaN.*still here/s);
  }
  const broken = createLog({
    level: 'info',
    format: 'text',
    write() {
      throw new Error('disk full');
    },
  });
  assert.doesNotThrow(() => broken.error('lost'));
});

test('an operating error is its code and message; another error shows where it was thrown', () => {
  const { lines, log } = logged('text');
  const cause = new Error('ECONNREFUSED');
  log.error('failed', { error: new GimmeError('store_failed', 'the disk is full', { cause }) });
  log.error('failed', { error: new TypeError('oops') });
  assert.match(lines[0] ?? '', /error="store_failed: the disk is full \(because ECONNREFUSED\)"\n$/);
  assert.match(lines[1] ?? '', /error="TypeError: oops\\n +at .*log\.test\.ts/);
});

test('a long value is cut', () => {
  for (const format of ['text', 'json'] as const) {
    const { lines, log } = logged(format);
    const long = 'x'.repeat(LOG_VALUE_CHARS_MAX + 1);
    log.info(long, { text: long, list: [long] });
    const length = lines[0]?.length ?? 0;
    assert.ok(length > 3 * LOG_VALUE_CHARS_MAX && length < 3 * LOG_VALUE_CHARS_MAX + 200, `${length}`);
  }
});

test('a closed stderr does not end the process', { timeout: 120_000 }, async () => {
  const log = new URL('../../../../shared/io/log.ts', import.meta.url).href;
  const script = `
    const { createLog } = await import(${JSON.stringify(log)});
    const log = createLog({ level: 'info', format: 'text' });
    process.stdin.once('data', async () => {
      for (let i = 0; i < 100; i++) { log.info('line', { i }); await new Promise(setImmediate); }
      process.stdout.write('survived');
      process.stdin.pause();
    });
    process.stdout.write('ready ');`;
  const args = ['--import', 'tsx', '--input-type=module', '-e', script];
  const child = spawn(process.execPath, args, { stdio: 'pipe' });
  let output = '';
  child.stdout.on('data', (data: Buffer) => {
    output += data.toString();
  });
  await once(child.stdout, 'data');
  child.stderr.destroy();
  child.stdin.write('go');
  const [code] = (await once(child, 'close')) as [number];
  assert.deepEqual([output, code], ['ready survived', 0]);
});
