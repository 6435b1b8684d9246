/** The demo as a person runs it: it proves its own count, and leaves nothing behind however it ends. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { connect } from 'nats';
import { until } from '../../processes/until.ts';
import { NatsServer } from '../../tools/natsServer.ts';
import { type FoundTool, natsServers } from '../../tools.ts';
import { start } from './gimme.ts';

function own(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'gimmework-demo-test-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** Processes of the command, and its NATS server, that were started with this folder as their TMPDIR. */
function processesOf(dir: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      const runs = /cli\/main\.|nats-server/.test(readFileSync(`/proc/${pid}/cmdline`, 'latin1'));
      return runs && readFileSync(`/proc/${pid}/environ`, 'latin1').includes(`TMPDIR=${dir}\0`);
    } catch {
      return false;
    }
  });
}

/** What the demo left in its TMPDIR; tsx keeps its cache there. */
function leftIn(dir: string): string[] {
  return readdirSync(dir).filter((name) => !name.startsWith('tsx-'));
}

test('the demo sends all mails once, and its epic and the mail server agree', async (t) => {
  const dir = own(t);
  const { code, stdout, stderr } = await start(['demo', '--recipients', '300', '--workers', '2'], {
    TMPDIR: dir,
  }).ended;
  assert.equal(code, 0, stdout + stderr);
  assert.match(stdout, /^master {3}http:\/\/127\.0\.0\.1:\d+ {3}store sqlite {3}link websocket\n/);
  assert.match(stdout, /✓ newsletter-demo finished in/);
  const totals = /read 300 = succeeded (\d+) \+ failed (\d+) \+ unknown 0 .* outstanding 0/.exec(stdout);
  assert.equal(Number(totals?.[1]) + Number(totals?.[2]), 300);
  assert.ok(stdout.includes(`smtp stub accepted ${totals?.[1]} distinct messages, 0 duplicates`), stdout);
  assert.deepEqual(leftIn(dir), []);
  assert.deepEqual(processesOf(dir), []);
});

test('Ctrl-C in the middle ends the demo, its processes and its folder', async (t) => {
  const dir = own(t);
  const demo = start(['demo', '--recipients', '200000'], { TMPDIR: dir });
  await demo.says(/newsletter-demo: /);
  assert.equal(processesOf(dir).length, 4, 'demo, stub and two workers');
  demo.process.kill('SIGINT');
  const { code, stderr } = await demo.ended;
  assert.equal(code, 130, stderr);
  assert.match(stderr, /gimme: stopped by SIGINT; [^\n]*\n$/);
  assert.deepEqual(processesOf(dir), []);
  assert.deepEqual(leftIn(dir), []);
});

test('--keep leaves the master up until Ctrl-C, which then ends well', async (t) => {
  const dir = own(t);
  const demo = start(['demo', '--recipients', '20', '--workers', '1', '--keep'], { TMPDIR: dir });
  const text = await demo.says(/The master stays at http/);
  const url = /stays at (http:[^:]+:\d+)/.exec(text)?.[1];
  const answer = await fetch(`${url}/v1/epics/newsletter-demo`);
  assert.equal(((await answer.json()) as { state: string }).state, 'finished');
  demo.process.kill('SIGINT');
  assert.equal((await demo.ended).code, 0);
  assert.deepEqual(processesOf(dir), []);
});

test('over NATS it starts a server or takes one that runs, and leaves none behind', async (t) => {
  const dir = own(t);
  const { code, stdout, stderr } = await start(['demo', '--nats', '--recipients', '100'], { TMPDIR: dir })
    .ended;
  assert.equal(code, 0, stdout + stderr);
  assert.match(stdout, /^nats {5}nats:\/\/127\.0\.0\.1:\d+ {3}(nats-server started|a server that runs)/);
  assert.match(stdout, /\nmaster {3}\S+ .* link nats\n/);
  assert.match(stdout, /smtp stub accepted \d+ distinct messages, 0 duplicates/);
  assert.deepEqual(processesOf(dir), []);
  assert.deepEqual(leftIn(dir), []);
});

test('over NATS killed by SIGKILL, its workers and its server end too', async (t) => {
  const dir = own(t);
  const demo = start(['demo', '--nats', '--recipients', '200000'], { TMPDIR: dir });
  await demo.says(/newsletter-demo: /);
  assert.ok(processesOf(dir).length >= 4);
  demo.process.kill('SIGKILL');
  await demo.ended;
  await until(
    'nothing is left',
    () => processesOf(dir),
    (left) => left.length === 0,
  );
});

test('over the NATS server that GIMMEWORK_NATS names, with its credentials, under subjects of its own', async (t) => {
  const { path } = natsServers().at(-1) as FoundTool;
  const nats = await NatsServer.start({ path, settings: 'authorization { token: right }' });
  t.after(() => nats.end());
  const demo = (token: string) =>
    start(['demo', '--nats', '--recipients', '50', '--workers', '1'], {
      TMPDIR: own(t),
      GIMMEWORK_NATS: nats.url,
      GIMMEWORK_NATS_TOKEN: token,
      GIMMEWORK_NATS_PREFIX: 'everyday',
    }).ended;
  const listener = await connect({ servers: nats.url, token: 'right' });
  t.after(() => listener.close());
  const prefixes = new Set<string | undefined>();
  listener.subscribe('>', { callback: (_error, { subject }) => prefixes.add(subject.split('.')[0]) });
  await listener.flush();
  const well = await demo('right');
  assert.equal(well.code, 0, well.stdout + well.stderr);
  assert.match([...prefixes].join(' '), /^gimmework-demo-[0-9a-f]{12}$/);
  assert.ok(well.stdout.startsWith(`nats     ${nats.url}   a server that runs already\n`), well.stdout);
  const wrong = await demo('wrong');
  assert.equal(wrong.code, 4, wrong.stderr);
  assert.match(wrong.stderr, /^gimme: NATS at \S+ refused these credentials[^\n]*\n$/);
});
