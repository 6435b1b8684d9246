/**
 * The import law and the purity of core, broken on purpose: every file under test/fixtures/law says in its
 * first line what the linter must report about it (`// breaks: <rule> <count>`, or `// clean`), at the path
 * where the law would meet it. The files are linted in a copy, since the law's paths start at the repository's root.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const LAW = join(ROOT, 'test/fixtures/law');
const OXLINT = join(ROOT, 'node_modules/.bin/oxlint');

type Diagnostic = { filename: string; code: string };

describe('the import law', () => {
  let found: Map<string, string[]>;
  let copy: string;

  before(() => {
    copy = mkdtempSync(join(tmpdir(), 'gimmework-law-'));
    cpSync(LAW, copy, { recursive: true });
    for (const name of ['.oxlintrc.json', 'tsconfig.json']) cpSync(join(ROOT, name), join(copy, name));
    symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
    found = lint(copy);
  });
  after(() => rmSync(copy, { recursive: true, force: true }));

  for (const file of filesUnder(LAW)) {
    const expected = expectation(join(LAW, file));
    const title =
      expected.length === 0 ? 'passes' : `is reported ${expected.length} times for ${expected[0]}`;
    test(`${file} ${title}`, () => assert.deepEqual(found.get(file) ?? [], expected));
  }

  test('every folder of the law has a file that keeps it and a file that breaks it', () => {
    for (const folder of [
      'master/core',
      'worker/core',
      'shared/core',
      'shared/protocol',
      'shared/io',
      'master/io',
      'worker/io',
      'client',
      'cli/commands',
      'works/newsletter',
    ]) {
      const files = readdirSync(join(LAW, folder)).filter((name) => name.endsWith('.ts'));
      const kinds = files.map((name) =>
        expectation(join(LAW, folder, name)).length === 0 ? 'keeps' : 'breaks',
      );
      assert.deepEqual([...new Set(kinds)].sort(), ['breaks', 'keeps'], folder);
    }
  });

  test('the ordinary lint does not look at the files that break the law', () => {
    const listed = execFileSync(OXLINT, ['--debug=files', '.'], { cwd: ROOT, encoding: 'utf8' });
    assert.match(listed, /shared\/core\/errors\.ts/);
    assert.doesNotMatch(listed, /fixtures\/law/);
  });
});

/** Lints a folder as `npm run lint` does: rule names by file, sorted. */
function lint(folder: string): Map<string, string[]> {
  const run = spawnSync(OXLINT, ['--type-aware', '-f', 'json', '.'], { cwd: folder, encoding: 'utf8' });
  assert.equal(run.status, 1, `the linter must find faults here: ${run.stdout}${run.stderr}`);
  const report = JSON.parse(run.stdout) as { diagnostics: Diagnostic[] };
  const found = new Map<string, string[]>();
  for (const { filename, code } of report.diagnostics) {
    const rule = /\((.+)\)/.exec(code)?.[1] ?? code;
    found.set(filename, [...(found.get(filename) ?? []), rule].sort());
  }
  return found;
}

function expectation(file: string): string[] {
  const first = readFileSync(file, 'utf8').split('\n', 1)[0] ?? '';
  if (first === '// clean') return [];
  const match = /^\/\/ breaks: (\S+) (\d+)$/.exec(first);
  assert.ok(match, `${relative(ROOT, file)} does not say what it breaks`);
  return Array.from({ length: Number(match[2]) }, () => match[1] as string);
}

function filesUnder(folder: string): string[] {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  return names.filter((name) => name.endsWith('.ts')).sort();
}
