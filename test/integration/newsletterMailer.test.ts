import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import type { TestContext } from 'node:test';
import test from 'node:test';
import { GimmeError } from '../../shared/core/errors.ts';
import { PermanentError, RetryableError, UnknownOutcomeError } from '../../shared/core/work.ts';
import type { DkimOptions } from '../../works/newsletter/dkim.ts';
import type { Mailer, MailerTimeouts } from '../../works/newsletter/mailer.ts';
import { openMailer } from '../../works/newsletter/mailer.ts';
import type { Mail } from '../../works/newsletter/render.ts';
import { mailOf } from '../tools/mail.ts';
import type { Act, Script, ScriptedServer, Stage } from './newsletterServer.ts';
import { scriptedServer } from './newsletterServer.ts';

const MAIL = mailOf({ text: '.a line that begins with a dot' }, { name: 'Ann' });
/** Far more than the buffers between two sockets hold. */
const LARGE: Mail = { ...MAIL, message: MAIL.message + `${'x'.repeat(70)}\r\n`.repeat(250_000) };
const MEDIUM: Mail = { ...MAIL, message: MAIL.message + `${'x'.repeat(70)}\r\n`.repeat(5_000) };
const PATIENT: Partial<MailerTimeouts> = { silenceMs: 20_000 };
const IMPATIENT: Partial<MailerTimeouts> = { connectMs: 2_000, greetingMs: 2_000, silenceMs: 2_000 };
const never = () => new AbortController().signal;

type Parts = { server: ScriptedServer; mailer: Mailer };

async function between(
  t: TestContext,
  script: Script,
  options: {
    connections?: number;
    timeouts?: Partial<MailerTimeouts>;
    extensions?: string[];
    login?: string;
    dkim?: DkimOptions;
  } = {},
): Promise<Parts> {
  const server = await scriptedServer(script, options.extensions);
  const smtp = options.login === undefined ? server.url : server.url.replace('//', `//${options.login}@`);
  const mailer = openMailer({
    smtp,
    connections: options.connections ?? 1,
    timeouts: options.timeouts ?? PATIENT,
    dkim: options.dkim,
  });
  t.after(async () => {
    mailer.close();
    await server.close();
  });
  return { server, mailer };
}

type Verdict = 'sent' | `retry ${string}` | `failed ${string}` | `unknown ${string}`;

async function verdict(sending: Promise<void>): Promise<[Verdict, string]> {
  try {
    await sending;
    return ['sent', ''];
  } catch (error) {
    if (error instanceof RetryableError) return [`retry ${error.code}`, error.message];
    if (error instanceof PermanentError) return [`failed ${error.code}`, error.message];
    if (error instanceof UnknownOutcomeError) return [`unknown ${error.code}`, error.message];
    throw error;
  }
}

const at =
  (stage: Stage, act: Act): Script =>
  (reached) =>
    reached === stage ? act : undefined;
const reply = (text: string): Act => ({ reply: text });
const reset: Act = { reset: true };
const silence: Act = { silence: true };
const cut = (text: string): Act => ({ cut: text });

const UNREACHABLE = 'retry smtp_unreachable';
const DEFERRED = 'retry smtp_deferred';
const REJECTED = 'failed smtp_rejected';
const UNKNOWN = 'unknown effect_unknown';

/** What happens at a stage, and what becomes of the mail. */
const CASES: [Stage, Act, Verdict][] = [
  ['connect', reset, UNREACHABLE],
  ['connect', cut(''), UNREACHABLE],
  ['connect', cut('22'), UNREACHABLE],
  ['connect', silence, UNREACHABLE],
  ['connect', reply('421 too busy'), DEFERRED],
  ['connect', reply('554 not you'), UNREACHABLE],
  ['ehlo', reset, UNREACHABLE],
  ['ehlo', silence, UNREACHABLE],
  ['ehlo', reply('421 too busy'), DEFERRED],
  ['ehlo', reply('550 not you'), UNREACHABLE],
  ['mail', reset, UNREACHABLE],
  ['mail', cut(''), UNREACHABLE],
  ['mail', cut('25'), UNREACHABLE],
  ['mail', silence, UNREACHABLE],
  ['mail', reply('421 closing'), DEFERRED],
  ['mail', reply('451 later'), DEFERRED],
  ['mail', reply('530 log in first'), UNREACHABLE],
  ['mail', reply('553 no such sender'), REJECTED],
  ['rcpt', reset, UNREACHABLE],
  ['rcpt', silence, UNREACHABLE],
  ['rcpt', reply('450 greylisted'), DEFERRED],
  ['rcpt', reply('550 no such mailbox'), REJECTED],
  ['data', reset, UNREACHABLE],
  ['data', silence, UNREACHABLE],
  ['data', reply('451 later'), DEFERRED],
  ['data', reply('503 bad sequence'), UNREACHABLE],
  ['data', reply('554 no'), REJECTED],
  ['data', reply('nonsense'), UNREACHABLE],
  ['dot', reset, UNKNOWN],
  ['dot', cut(''), UNKNOWN],
  ['dot', cut('25'), UNKNOWN],
  ['dot', cut('250 half a repl'), UNKNOWN],
  ['dot', cut('55'), UNKNOWN],
  ['dot', cut('250-first line\r\n'), UNKNOWN],
  ['dot', cut('550 refused, without its line end'), REJECTED],
  ['dot', silence, UNKNOWN],
  ['dot', reply('354 what?'), UNKNOWN],
  ['dot', reply('nonsense'), UNKNOWN],
  ['dot', reply('421 closing'), DEFERRED],
  ['dot', reply('451 later'), DEFERRED],
  ['dot', reply('552 too large'), REJECTED],
  ['dot', reply('554-5.7.1 first\r\n554 5.7.1 second'), REJECTED],
  ['dot', reply('250 yes'), 'sent'],
];

for (const pipelining of [false, true]) {
  test(`each fault at each stage has one meaning${pipelining ? ', with pipelining too' : ''}`, {
    concurrency: 8,
  }, async (t) => {
    const told = CASES.map(([stage, act, expected]) =>
      t.test(`${stage}: ${JSON.stringify(act)} is ${expected}`, async (t) => {
        const timeouts = 'silence' in act ? IMPATIENT : PATIENT;
        const extensions = pipelining ? ['PIPELINING'] : [];
        const { server, mailer } = await between(t, at(stage, act), { timeouts, extensions });
        const [found, message] = await verdict(mailer.send(MAIL, 'epic.1', never()));
        assert.equal(found, expected, message);
        assert.ok(expected === 'sent' || message.includes(server.address), message);
        assert.ok(!/[\r\n]/.test(message), 'the message is one line');
        assert.equal(server.bodies.length, stage === 'dot' ? 1 : 0, 'a body reached its dot at most once');
      }),
    );
    await Promise.all(told);
  });
}

test('a mail cut off in the middle of its body certainly did not arrive', async (t) => {
  for (const [act, timeouts] of [
    [reset, PATIENT],
    [silence, IMPATIENT],
  ] as const) {
    const { server, mailer } = await between(t, at('body', act), { timeouts });
    const [found, message] = await verdict(mailer.send(LARGE, 'epic.1', never()));
    assert.equal(found, UNREACHABLE, message);
    assert.equal(server.bodies.length, 0);
  }
});

test('a large mail arrives whole', async (t) => {
  const { server, mailer } = await between(t, () => undefined);
  assert.deepEqual(await verdict(mailer.send(MEDIUM, 'epic.1', never())), ['sent', '']);
  assert.ok(server.bodies[0]?.endsWith(MEDIUM.message.replace(/^\./gm, '..')));
});

test('in the middle of the body a refusal is one, a confirmation is none', async (t) => {
  const early = await between(t, at('body', reply('552 too large')));
  assert.equal((await verdict(early.mailer.send(LARGE, 'epic.1', never())))[0], REJECTED);
  const wrong = await between(t, at('body', reply('250 yes, yes')));
  assert.equal((await verdict(wrong.mailer.send(LARGE, 'epic.1', never())))[0], UNKNOWN);
});

test('the message on the wire is the mail, under its own Message-ID', async (t) => {
  const { server, mailer } = await between(t, () => undefined);
  await mailer.send(MAIL, 'epic.1', never());
  const [body = ''] = server.bodies;
  assert.match(body, /^Message-ID: <epic\.1@example\.com>\r$/m);
  assert.match(body, /^From: News <news@example\.com>\r$/m);
  assert.match(body, /^\.\.a line that begins with a dot\r$/m);
});

test('a signed mail goes out with its signature before it; one stopped while it is signed does not', async (t) => {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2_048 });
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const dkim = { domain: 'example.com', selector: 's', key };
  const { server, mailer } = await between(t, () => undefined, { dkim });
  await mailer.send(MAIL, 'epic.1', never());
  const stop = new AbortController();
  const stopped = verdict(mailer.send(MAIL, 'epic.2', stop.signal));
  stop.abort();
  assert.equal((await stopped)[0], 'retry step_failed');
  assert.equal(server.bodies.length, 1);
  assert.match(server.bodies[0] ?? '', /^DKIM-Signature: v=1; a=rsa-sha256; .*\r\n(?:[ \t].*\r\n)+Date: /);
});

test('a session that died while idle costs no attempt', async (t) => {
  const { server, mailer } = await between(t, () => undefined);
  await mailer.send(MAIL, 'epic.1', never());
  server.sessions[0]?.end();
  await mailer.send(MAIL, 'epic.2', never());
  server.sessions[1]?.end('421 idle for too long\r\n');
  await mailer.send(MAIL, 'epic.3', never());
  server.sessions[2]?.resetAndDestroy();
  await mailer.send(MAIL, 'epic.4', never());
  assert.equal(server.bodies.length, 4);
  assert.equal(server.sessions.length, 4);
});

test('a session found dead when it is used again costs no attempt', async (t) => {
  for (const act of [reset, cut('')]) {
    const script: Script = (stage, session, mail) =>
      stage === 'mail' && session === 1 && mail === 2 ? act : undefined;
    const { server, mailer } = await between(t, script);
    await mailer.send(MAIL, 'epic.1', never());
    await mailer.send(MAIL, 'epic.2', never());
    assert.equal(server.bodies.length, 2);
    assert.equal(server.sessions.length, 2);
  }
});

test('a mail refused leaves the session usable for the next one', async (t) => {
  const script: Script = (stage, _, mail) => (stage === 'dot' && mail === 1 ? reply('550 no') : undefined);
  const { server, mailer } = await between(t, script);
  assert.equal((await verdict(mailer.send(MAIL, 'epic.1', never())))[0], REJECTED);
  assert.equal((await verdict(mailer.send(MAIL, 'epic.2', never())))[0], 'sent');
  assert.equal(server.sessions.length, 1);
});

test('a mail stopped before its body is certainly not sent, after it nobody knows', async (t) => {
  for (const [stage, expected] of [
    ['connect', 'retry step_failed'],
    ['mail', 'retry step_failed'],
    ['data', 'retry step_failed'],
    ['dot', UNKNOWN],
  ] as const) {
    const { server, mailer } = await between(t, at(stage, silence));
    const stop = new AbortController();
    const sending = verdict(mailer.send(MAIL, 'epic.1', stop.signal));
    await server.reached(stage);
    stop.abort(new Error('the master stopped this unit'));
    assert.equal((await sending)[0], expected, stage);
  }
});

test('a mail stopped while it waits for a session never reaches the wire', async (t) => {
  const { server, mailer } = await between(t, at('mail', silence));
  const first = new AbortController();
  const second = new AbortController();
  const sending = [mailer.send(MAIL, 'epic.1', first.signal), mailer.send(MAIL, 'epic.2', second.signal)].map(
    verdict,
  );
  await server.reached('mail');
  second.abort();
  assert.equal((await sending[1])?.[0], 'retry step_failed');
  first.abort();
  await sending[0];
  assert.equal((await verdict(mailer.send(MAIL, 'epic.3', AbortSignal.abort())))[0], 'retry step_failed');
  assert.equal(server.bodies.length, 0);
});

test('closing the mailer ends what is under way: unknown after the body, else retryable', async (t) => {
  for (const [stage, expected] of [
    ['mail', UNREACHABLE],
    ['dot', UNKNOWN],
  ] as const) {
    const { server, mailer } = await between(t, at(stage, silence));
    const sending = verdict(mailer.send(MAIL, 'epic.1', never()));
    await server.reached(stage);
    mailer.close();
    assert.equal((await sending)[0], expected);
    assert.equal((await verdict(mailer.send(MAIL, 'epic.2', never())))[0], UNREACHABLE);
  }
});

test('no more sessions are opened than asked for', async (t) => {
  const { server, mailer } = await between(t, () => undefined, { connections: 3 });
  await Promise.all(Array.from({ length: 40 }, (_, i) => mailer.send(MAIL, `epic.${i}`, never())));
  assert.equal(server.bodies.length, 40);
  assert.equal(server.sessions.length, 3);
});

test('a refused login and a failed TLS handshake never count against the mail', async (t) => {
  const login = await between(t, at('auth', reply('535 wrong password')), {
    extensions: ['AUTH PLAIN'],
    login: 'ann:s3cret',
  });
  const [found, message] = await verdict(login.mailer.send(MAIL, 'epic.1', never()));
  assert.equal(found, UNREACHABLE);
  assert.match(message, /refused the login, check --smtp: 535 wrong password/);
  const tls = await between(t, at('starttls', cut('220 go on\r\nnot TLS')), { extensions: ['STARTTLS'] });
  assert.equal((await verdict(tls.mailer.send(MAIL, 'epic.1', never())))[0], UNREACHABLE);
});

test('verify names the address and the cure', async (t) => {
  const refusal = async (mailer: Mailer, pattern: RegExp): Promise<void> => {
    await assert.rejects(mailer.verify(), (error) => {
      assert.ok(error instanceof GimmeError && error.code === 'smtp_unreachable');
      assert.match(error.message, pattern);
      assert.ok(!error.message.includes('s3cret'));
      return true;
    });
  };
  const gone = await scriptedServer();
  await gone.close();
  const nobody = openMailer({ smtp: gone.url });
  await refusal(
    nobody,
    new RegExp(`no SMTP server answers at ${gone.address}; start it, or name .*--smtp.*ECONNREFUSED`),
  );
  const mute = await between(t, at('connect', silence), { timeouts: { verifyMs: 200 } });
  await refusal(mute.mailer, /no SMTP server answers/);
  const locked = await between(t, at('auth', reply('535 wrong')), {
    extensions: ['AUTH PLAIN'],
    login: 'ann:s3cret',
  });
  await refusal(locked.mailer, /refused the login; correct user and password/);
  const fine = await between(t, () => undefined);
  await fine.mailer.verify();
});
