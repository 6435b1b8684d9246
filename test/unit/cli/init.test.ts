/** A new project as its maker runs it: `init`, `dev`, a submit, a change of the code, and an end that leaves nothing. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { gimme, type Running, start } from './gimme.ts';

function folder(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'gimmework-init-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

async function developing(
  t: TestContext,
  dir: string,
  workers = '1',
): Promise<{ dev: Running; url: string }> {
  const dev = start(['dev', 'works.ts', '--workers', workers, '--listen', '127.0.0.1:0'], {}, dir);
  t.after(() => dev.process.kill('SIGKILL'));
  const text = await dev.says(/^master +http:\S+/m);
  return { dev, url: /http:\S+/.exec(text)?.[0] ?? '' };
}

/** Processes of the command that run in this folder. */
function processesIn(dir: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      const isGimme = readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('cli/main.');
      return isGimme && readlinkSync(`/proc/${pid}/cwd`) === dir;
    } catch {
      return false;
    }
  });
}

test('init makes a project that runs as its README says, without npm', async (t) => {
  const parent = folder(t);
  const made = await gimme(['init', 'My Works'], {}, parent);
  assert.equal(made.code, 0, made.stderr);
  assert.match(
    made.stdout,
    /^made My Works: works\.ts, people\.csv, package\.json, README\.md, \.gitignore\n$/,
  );
  assert.match(made.stderr, /^Next: cd 'My Works' && gimme dev works\.ts\n$/);
  const dir = join(parent, 'My Works');
  assert.equal(
    (JSON.parse(readFileSync(join(dir, 'package.json'), 'utf8')) as { name: string }).name,
    'my-works',
  );

  const { dev, url } = await developing(t, dir, '2');
  await dev.says(/dev-2 {2}.* worker ready .*works=greet/);
  const submit = ['epic', 'submit', 'greet', '--source', 'people.csv', '--watch', '--master', url];
  const { code, stdout, stderr } = await gimme(submit, {}, dir);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /read 50 = succeeded 50 \+ failed 0/);
  assert.equal(readdirSync(join(dir, 'out')).length, 50);
  assert.equal(readFileSync(join(dir, 'out', '0.txt'), 'utf8'), 'Hello Ada of Accra!\n');
  dev.process.kill('SIGINT');
  const over = await dev.ended;
  assert.equal(over.code, 0, over.stderr);
  assert.doesNotMatch(
    over.stderr,
    /changed: the workers start again/,
    'what a work writes is no change of it',
  );
});

test('dev starts its workers again when the code changes, survives a broken one, and leaves none', async (t) => {
  const dir = folder(t);
  const works = join(dir, 'works.ts');
  const module = (name: string): string =>
    `import { defineWork } from 'gimmework';\nexport const it = defineWork('${name}').step('s', (unit) => unit);\n`;
  writeFileSync(join(dir, 'package.json'), '{"type":"module"}');
  writeFileSync(works, module('first'));
  const { dev } = await developing(t, dir);
  await dev.says(/works=first/);
  writeFileSync(works, 'export const = 1;');
  await dev.says(/works\.ts changed: .*\n(.*\n)*dev-1 {2}gimme: works module works\.ts does not load/);
  await dev.says(/dev-1 {2}ended with 2; it starts again at the next change/);
  writeFileSync(works, module('second'));
  await dev.says(/works=second/);
  assert.equal(processesIn(dir).length, 2, 'dev and its worker');
  dev.process.kill('SIGTERM');
  assert.equal((await dev.ended).code, 0);
  assert.deepEqual(processesIn(dir), []);
});
