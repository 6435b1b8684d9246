import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import test from 'node:test';
import { GimmeError } from '../../shared/core/errors.ts';
import { PermanentError, RetryableError, UnknownOutcomeError } from '../../shared/core/work.ts';
import type { NewsletterOptions } from '../../works/newsletter/index.ts';
import { newsletter } from '../../works/newsletter/index.ts';
import type { Mailer } from '../../works/newsletter/mailer.ts';
import { openMailer } from '../../works/newsletter/mailer.ts';
import type { Mail } from '../../works/newsletter/render.ts';
import type { SmtpStub, StubOptions } from '../../works/newsletter/stub.ts';
import { startSmtpStub } from '../../works/newsletter/stub.ts';
import { mailOf } from '../tools/mail.ts';

const LISTEN = { host: '127.0.0.1', port: 0 };
const QUIET = { defer: 0, reject: 0 };
const never = () => new AbortController().signal;

const mailTo = (email: string): Mail =>
  mailOf(
    { html: `<p>Hello</p>\n${'A line of the letter, and one more.\n'.repeat(200)}`, text: 'Hello' },
    { email },
  );

/** A server that says nothing is given up after this; one on a busy machine is not. */
const SILENCE_MS = 3_000;

async function stubbed(t: TestContext, options: StubOptions): Promise<{ stub: SmtpStub; mailer: Mailer }> {
  const stub = await startSmtpStub({ listen: LISTEN, ...options });
  const mailer = openMailer({
    smtp: `smtp://${stub.address}:${stub.port}`,
    timeouts: { silenceMs: SILENCE_MS },
  });
  t.after(async () => {
    mailer.close();
    await stub.close();
  });
  return { stub, mailer };
}

type Outcome = 'sent' | 'deferred' | 'rejected' | 'unknown';

/** Sends mails `from … to − 1`, all at once; returns each outcome. */
function sendAll(mailer: Mailer, from: number, to: number): Promise<Outcome[]> {
  return Promise.all(
    Array.from({ length: to - from }, async (_, i): Promise<Outcome> => {
      try {
        await mailer.send(mailTo(`r${from + i}@example.com`), `epic.${from + i}`, never());
        return 'sent';
      } catch (error) {
        if (error instanceof RetryableError && error.code === 'smtp_deferred') return 'deferred';
        if (error instanceof PermanentError && error.code === 'smtp_rejected') return 'rejected';
        if (error instanceof UnknownOutcomeError) return 'unknown';
        throw error;
      }
    }),
  );
}

const countOf = (outcomes: Outcome[], wanted: Outcome) =>
  outcomes.filter((outcome) => outcome === wanted).length;

test('every mail accepted is counted once, and a mail sent twice is a duplicate', async (t) => {
  const { stub, mailer } = await stubbed(t, QUIET);
  assert.equal(countOf(await sendAll(mailer, 0, 300), 'sent'), 300);
  assert.deepEqual(stub.counts(), {
    accepted: 300,
    distinct: 300,
    duplicates: 0,
    deferred: 0,
    rejected: 0,
    droppedReplies: 0,
    stalled: 0,
  });
  await sendAll(mailer, 10, 15);
  await sendAll(mailer, 10, 11);
  const { accepted, distinct, duplicates } = stub.counts();
  assert.deepEqual({ accepted, distinct, duplicates }, { accepted: 306, distinct: 300, duplicates: 6 });
});

test('a share is deferred once and then accepted, a share is rejected every time', async (t) => {
  const { stub, mailer } = await stubbed(t, { defer: 0.2, reject: 0.1 });
  const first = await sendAll(mailer, 0, 500);
  const deferred = countOf(first, 'deferred');
  const rejected = countOf(first, 'rejected');
  assert.ok(deferred > 60 && deferred < 140, `${deferred} of 500 deferred`);
  assert.ok(rejected > 25 && rejected < 80, `${rejected} of 500 rejected`);
  assert.equal(stub.counts().distinct, 500 - deferred - rejected);
  const again = await Promise.all(
    first.flatMap((outcome, i) => (outcome === 'sent' ? [] : [sendAll(mailer, i, i + 1)])),
  );
  assert.equal(countOf(again.flat(), 'sent'), deferred);
  assert.equal(countOf(again.flat(), 'rejected'), rejected);
  const counts = stub.counts();
  assert.deepEqual(counts, {
    ...counts,
    distinct: 500 - rejected,
    duplicates: 0,
    deferred,
    rejected: 2 * rejected,
  });
});

test('the same seed gives each mail the same fate, another seed another', async (t) => {
  const fates = async (seed: number) => {
    const { mailer } = await stubbed(t, { defer: 0.3, reject: 0.3, seed });
    return sendAll(mailer, 0, 100);
  };
  const [one, same, other] = [await fates(1), await fates(1), await fates(2)];
  assert.deepEqual(one, same);
  assert.notDeepEqual(one, other);
});

test('a dropped reply is an accepted mail whose sender cannot know it', async (t) => {
  const { stub, mailer } = await stubbed(t, { ...QUIET, dropReply: 0.1 });
  const outcomes = await sendAll(mailer, 0, 200);
  const { distinct, duplicates, droppedReplies } = stub.counts();
  assert.ok(droppedReplies > 10, `${droppedReplies} dropped`);
  assert.equal(countOf(outcomes, 'unknown'), droppedReplies, 'exactly those are unknown');
  assert.equal(countOf(outcomes, 'sent'), 200 - droppedReplies);
  assert.deepEqual({ distinct, duplicates }, { distinct: 200, duplicates: 0 });
});

test('a stalled mail is never answered and not accepted', async (t) => {
  const { stub, mailer } = await stubbed(t, { ...QUIET, stall: 1 });
  assert.deepEqual(await sendAll(mailer, 0, 3), ['unknown', 'unknown', 'unknown']);
  const { accepted, stalled } = stub.counts();
  assert.deepEqual({ accepted, stalled }, { accepted: 0, stalled: 3 });
});

test('latency delays replies and loses none', async (t) => {
  const { stub, mailer } = await stubbed(t, { ...QUIET, latencyMs: 30 });
  const startedMs = performance.now();
  await sendAll(mailer, 0, 20);
  assert.ok(performance.now() - startedMs >= 29);
  assert.equal(stub.counts().distinct, 20);
});

test('the report has each accepted mail once and the summary last', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'gimmework-stub-'));
  t.after(() => rm(dir, { recursive: true }));
  const report = join(dir, 'report.jsonl');
  const { stub, mailer } = await stubbed(t, { ...QUIET, report });
  await sendAll(mailer, 0, 200);
  await sendAll(mailer, 7, 8);
  await stub.close();
  const lines = (await readFile(report, 'utf8'))
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.deepEqual(lines.pop(), { summary: stub.counts() });
  assert.equal(lines.length, 201);
  assert.equal(new Set(lines.map((line) => line['id'])).size, 200);
  const twice = lines.filter((line) => line['id'] === 'epic.7@example.com');
  assert.deepEqual(
    twice.map(({ to, n }) => ({ to, n })),
    [
      { to: 'r7@example.com', n: 1 },
      { to: 'r7@example.com', n: 2 },
    ],
  );
  assert.ok(lines.every((line) => !Number.isNaN(Date.parse(String(line['at'])))));
});

test('a mail cut off before its final dot is not counted', async (t) => {
  const { stub } = await stubbed(t, QUIET);
  const socket = connect(stub.port, stub.address);
  socket.setEncoding('latin1');
  socket.write('EHLO me\r\n');
  const script = [
    'MAIL FROM:<a@example.com>',
    'RCPT TO:<b@example.com>',
    'DATA',
    'Message-ID: <half@example.com>\r\n\r\nhalf a',
  ];
  for await (const said of socket) {
    if (!/^(220|250|354) /m.test(String(said))) continue;
    const line = script.shift();
    if (line === undefined) break;
    socket.write(script.length === 0 ? line : `${line}\r\n`);
    if (script.length === 0) socket.end();
  }
  const { accepted, distinct } = stub.counts();
  assert.deepEqual({ accepted, distinct }, { accepted: 0, distinct: 0 });
});

test('a port in use and shares out of range are refused', async (t) => {
  const { stub } = await stubbed(t, QUIET);
  const taken = { host: stub.address, port: stub.port };
  await assert.rejects(
    startSmtpStub({ listen: taken }),
    (error) =>
      error instanceof GimmeError && error.code === 'port_taken' && error.message.includes(`:${stub.port}`),
  );
  for (const shares of [{ defer: -0.1 }, { reject: 2 }, { defer: Number.NaN }, { defer: 0.6, reject: 0.6 }]) {
    await assert.rejects(
      startSmtpStub({ listen: LISTEN, ...shares }),
      (error) => error instanceof GimmeError && error.code === 'usage',
    );
  }
  await assert.rejects(
    startSmtpStub({ listen: LISTEN, report: join(tmpdir(), 'no', 'such', 'folder', 'x') }),
    (error) => error instanceof GimmeError && /cannot write the report/.test(error.message),
  );
});

test('the newsletter renders and sends one recipient from start to stop', async (t) => {
  const { stub } = await stubbed(t, QUIET);
  const work = newsletter({ smtp: `smtp://${stub.address}:${stub.port}`, connections: 2 });
  assert.equal(work.name, 'newsletter');
  assert.equal(work.options.key?.({ email: 'Ann@Example.com' }), 'ann@example.com');
  await work.options.start?.();
  const brief = work.options.prepare?.({
    from: 'n@example.com',
    subject: 'Hi {{ name }}',
    html: '<p>{{ name }}</p>',
  });
  const ctx = {
    brief,
    signal: never(),
    effectKey: 'epic.3',
    attempt: 1,
    epic: 'epic',
    unit: 3,
    log: () => {},
  };
  let value: unknown = { email: 'ann@example.com', name: 'Ann' };
  for (const step of work.steps) value = await step.run(value, ctx);
  await work.options.stop?.();
  assert.equal(stub.counts().distinct, 1);
});

test('the newsletter’s steps have their settings', () => {
  const steps = (options: Partial<NewsletterOptions> = {}) =>
    newsletter({ smtp: 'smtp://127.0.0.1:2525', ...options }).steps;
  const [render, send] = steps();
  assert.deepEqual([render?.name, render?.effect], ['render', 'none']);
  assert.deepEqual([send?.name, send?.effect, send?.timeoutMs], ['send', 'at-most-once', 60_000]);
  assert.deepEqual(send?.retry, { attempts: 6, backoff: { firstMs: 30_000, factor: 4, maxMs: 7_200_000 } });
  assert.equal(steps({ effect: 'at-least-once' })[1]?.effect, 'at-least-once');
  assert.equal(steps({ retryFirst: '250ms' })[1]?.retry.backoff.firstMs, 250);
  assert.throws(() => steps({ connections: 0 }), GimmeError);
  assert.throws(() => steps({ smtp: 'nowhere' }), GimmeError);
});
