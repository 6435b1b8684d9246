/** The Dockerfile fits the project: what it copies is there, and what it builds runs as it says. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import { PATIENCE_MS } from '../processes/process.ts';
import { ROOT, textOf } from '../tidy/sources.ts';
import { assertUnderstood, folder } from './deployRig.ts';

const run = promisify(execFile);

/** The instructions of the Dockerfile, lines that go on put together. */
function dockerfile(): [string, string][] {
  const lines = textOf('deploy/Dockerfile').replace(/\\\n/g, ' ').split('\n');
  const made = lines.filter((line) => !/^\s*(#.*)?$/.test(line)).map((line) => /^([A-Z]+) (.*)$/.exec(line));
  return made.map((found) => [found?.[1] ?? 'none', found?.[2] ?? '']);
}

test('the Dockerfile compiles what must be compiled, on the image that it runs on', () => {
  const instructions = dockerfile();
  const images = instructions.filter(([word]) => word === 'FROM').map(([, rest]) => rest.split(' ')[0]);
  assert.equal(images.length, 2);
  assert.equal(images[0], images[1], 'native modules fit one Node and one libc');
  const rebuilt = instructions.flatMap(
    ([, rest]) => /npm rebuild ([^&]+)/.exec(rest)?.[1]?.trim().split(' ') ?? [],
  );
  type Lock = { packages: Record<string, { dev?: boolean; hasInstallScript?: boolean }> };
  const { packages } = JSON.parse(textOf('package-lock.json')) as Lock;
  const scripted = Object.entries(packages).filter(
    ([path, it]) => path !== '' && it.hasInstallScript && !it.dev,
  );
  // The script of esbuild only saves it a process, and that of fsevents is for a Mac.
  const names = scripted
    .map(([path]) => path.replace('node_modules/', ''))
    .filter((name) => !/^(esbuild|fsevents)$/.test(name));
  assert.deepEqual(rebuilt.sort(), names.sort());
});

test('what the Dockerfile copies and builds is enough to run the commands that it names', async (t) => {
  const instructions = dockerfile();
  const stage = folder(t);
  const image = folder(t);
  const ignored = textOf('.dockerignore')
    .split('\n')
    .filter((line) => line !== '');
  for (const [word, rest] of instructions) {
    if (word !== 'COPY' || rest.startsWith('--from')) continue;
    const paths = rest.split(' ');
    const to = paths.pop() as string;
    for (const path of paths) {
      assert.ok(!ignored.includes(path), `${path} is in .dockerignore`);
      cpSync(join(ROOT, path), join(stage, to.endsWith('/') ? join(to, path) : to), { recursive: true });
    }
  }
  symlinkSync(join(ROOT, 'node_modules'), join(stage, 'node_modules'));
  await run('npm', ['run', 'build'], { cwd: stage });
  rmSync(join(stage, 'node_modules'));
  productionModules(join(stage, 'node_modules'));
  for (const [word, rest] of instructions) {
    const [, from, to] = (word === 'COPY' && /^--from=build \/app\/(\S+) \.\/(\S*)$/.exec(rest)) || [];
    if (from === undefined || to === undefined) continue;
    cpSync(join(stage, from), join(image, to === '' ? from : to), {
      recursive: true,
      verbatimSymlinks: true,
    });
  }

  const args = (word: string): string[] =>
    JSON.parse(instructions.find(([it]) => it === word)?.[1] ?? '[]') as string[];
  const [node, main = ''] = args('ENTRYPOINT');
  assert.equal(node, 'node');
  const entry = main.replace(/^\/app/, image);
  assert.ok(instructions.some(([, rest]) => rest.includes(`ln -s ${main} /usr/local/bin/gimme`)));
  const command = args('CMD');
  assertUnderstood(command, {});
  const here = { '0.0.0.0:7171': '127.0.0.1:0', '/data': join(image, 'data') } as Record<string, string>;
  await assertServes(
    t,
    entry,
    command.map((word) => here[word] ?? word),
  );
  const demo = await run(process.execPath, [entry, 'demo', '--recipients', '50'], {
    cwd: image,
    timeout: PATIENCE_MS,
  });
  assert.match(demo.stdout + demo.stderr, /read 50 = succeeded \d+ \+ failed \d+ \+ unknown 0 /);
});

/** Those modules that a user needs: what is for development only is not in the image. */
function productionModules(to: string): void {
  const { packages } = JSON.parse(textOf('package-lock.json')) as {
    packages: Record<string, { dev?: boolean }>;
  };
  for (const [path, { dev }] of Object.entries(packages)) {
    const name = /^node_modules\/((?:@[^/]+\/)?[^/]+)$/.exec(path)?.[1];
    if (name === undefined || dev || !existsSync(join(ROOT, path))) continue;
    mkdirSync(dirname(join(to, name)), { recursive: true });
    symlinkSync(join(ROOT, path), join(to, name));
  }
}

/** Starts a master as the image would, asks whether it is ready, and ends it as a supervisor would. */
async function assertServes(t: TestContext, entry: string, command: string[]): Promise<void> {
  const child = execFile(process.execPath, [entry, ...command], { timeout: PATIENCE_MS });
  t.after(() => child.kill('SIGKILL'));
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const url = await new Promise<string>((resolve, reject) => {
    let text = '';
    child.stdout?.on('data', (data: string) => {
      text += data;
      const found = /^master +(http:\S+) +store sqlite/m.exec(text)?.[1];
      if (found !== undefined) resolve(found);
    });
    child.stderr?.on('data', (data: string) => {
      text += data;
    });
    void ended.then(() => reject(new Error(`it ended: ${text}`)));
  });
  assert.equal((await fetch(`${url}/readyz`)).status, 200);
  child.kill('SIGTERM');
  assert.equal(await ended, 0);
}
