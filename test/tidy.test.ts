/**
 * What must stay true of the repository itself and no compiler or linter sees: who imports what by text,
 * no dead files or limits, pages in step with their tables, sizes, and nothing of the machine it was made on.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { renderErrors } from './tidy/errorsPage.ts';
import {
  codeUnder,
  filesUnder,
  importsOf,
  PRODUCT,
  ROOT,
  reachable,
  target,
  textOf,
} from './tidy/sources.ts';

type PackageJson = {
  engines: { node: string };
  bin: Record<string, string>;
  exports: Record<string, string>;
  scripts: Record<string, string>;
  dependencies: Record<string, string>;
  devDependencies: Record<string, string>;
};
type Lock = { integrity?: string; resolved?: string };
const pkg = JSON.parse(textOf('package.json')) as PackageJson;

const LINES_MAX = 400;

/** Who alone may import a package, in any form; the linter sees statements, this sees the rest. */
const OWNERS: Record<string, RegExp> = {
  nats: /^shared\/io\/bus\/nats\.ts$/,
  ws: /^(shared\/io\/bus\/ws[^/]*|master\/io\/events|client\/events)\.ts$/,
  'prom-client': /^[^/]+\/io\/metrics\.ts$/,
};

describe('imports', () => {
  const product = codeUnder(...PRODUCT);

  test('a package with an owner is imported by its owner only, by import() and require() too', () => {
    assertNone(product, (file) =>
      Object.entries(OWNERS).flatMap(([name, owner]) => {
        const call = new RegExp(`\\b(?:import|require)\\(\\s*['"]${name}(?:/[^'"]*)?['"]`);
        const imports = importsOf(textOf(file)).some((it) => it === name || it.startsWith(`${name}/`));
        return (imports || call.test(textOf(file))) && !owner.test(file) ? [`imports ${name}`] : [];
      }),
    );
  });

  test('core loads nothing at run time', () => {
    const core = product.filter((file) => /^[^/]+\/core\/|^shared\/protocol\//.test(file));
    assertNone(core, (file) =>
      /\b(?:import|require)\(/.test(textOf(file)) ? ['calls import() or require()'] : [],
    );
  });

  test('every relative import leads to a file', () => {
    assertNone(codeUnder(...PRODUCT, 'bench', 'examples'), (file) =>
      importsOf(textOf(file))
        .filter((it) => it.startsWith('.') && !existsSync(join(ROOT, target(file, it))))
        .map((it) => `imports ${it}, which is not there`),
    );
  });

  test('every package that is imported is a dependency, and every dependency is imported', () => {
    const imported = new Set(product.flatMap((file) => importsOf(textOf(file)).map(packageName)));
    imported.delete(undefined);
    imported.delete('gimmework'); // Itself, in what `gimme init` writes.
    const stray = [...imported].filter((name) => name !== undefined && !(name in pkg.dependencies));
    assert.deepEqual(stray, [], 'imported, but not in dependencies');
    const idle = Object.keys(pkg.dependencies).filter((name) => !imported.has(name));
    assert.deepEqual(idle, [], 'in dependencies, but not imported');
  });

  test('every file is reached from an entry point, a test or a benchmark', () => {
    const published = [...Object.values(pkg.bin), ...Object.values(pkg.exports)].map(sourceOf);
    assertNone(published, (file) => (existsSync(join(ROOT, file)) ? [] : ['is published, but is not there']));
    const works = product.filter((file) => /^works\/[^/]+\/(?:main|index)\.ts$/.test(file));
    const reached = reachable([...published, ...works, ...codeUnder('test', 'bench', 'examples')]);
    assertNone(product, (file) => (reached.has(file) ? [] : ['is not reached by any import']));
  });
});

describe('tables', () => {
  test('docs/errors.md is what the errors table says (else: npm run docs)', () => {
    assert.equal(textOf('docs/errors.md'), renderErrors());
  });

  test('every limit is used somewhere', () => {
    const limits = 'shared/core/limits.ts';
    const names = [...textOf(limits).matchAll(/^export const (\w+)/gm)].map((match) => match[1] as string);
    assert.ok(names.length > 20, 'the limits were not found');
    const words = new Set(
      codeUnder(...PRODUCT).flatMap((file) =>
        file === limits ? [] : (textOf(file).match(/\b[A-Z][A-Z0-9_]+\b/g) ?? []),
      ),
    );
    assert.deepEqual(
      names.filter((name) => !words.has(name)),
      [],
      'limits that bound nothing',
    );
  });
});

describe('files', () => {
  const code = codeUnder();

  test(`no file has more than ${LINES_MAX} lines`, () => {
    assertNone(code, (file) => {
      const lines = textOf(file).trimEnd().split('\n').length;
      return lines > LINES_MAX ? [`has ${lines} lines`] : [];
    });
  });

  test('no test runs alone', () => {
    const only = /\b(?:test|it|describe|suite)\.only\(|\bonly:\s+true/;
    assertNone(code, (file) => (only.test(textOf(file)) ? ['keeps the other tests from running'] : []));
  });

  test('every exception from a lint rule gives its reason on the same line', () => {
    const exception = /(?:oxlint|eslint)-disable|@ts-(?:ignore|expect-error|nocheck)/;
    assertNone(
      code.filter((file) => file !== 'test/tidy.test.ts'),
      (file) =>
        linesOf(file).flatMap(({ line, at }) =>
          exception.test(line) && !/ -- \S+/.test(line) ? [`line ${at}: gives no reason after ' -- '`] : [],
        ),
    );
  });

  test('nothing names a path of one machine', () => {
    const paths = [
      ['', 'work', ''],
      ['', 'tmp', 'bash_jobs'],
      ['', 'root', ''],
      ['', 'home', ''],
    ].map((parts) => parts.join('/'));
    const path = new RegExp(`(?<![\\w.}:*])(?:${paths.join('|')})`);
    const texts = filesUnder().filter((file) =>
      /\.(?:[cm]?[jt]sx?|json|md|ya?ml|sh|csv|html|css)$|^\.ci\//.test(file),
    );
    assert.ok(texts.length > 20, 'the files were not found');
    assertNone(texts, (file) =>
      linesOf(file).flatMap(({ line, at }) => (path.test(line) ? [`line ${at}: ${line.trim()}`] : [])),
    );
  });
});

describe('pages', () => {
  const pages = filesUnder().filter((file) => file.endsWith('.md'));

  test('every link to a file leads to one', () => {
    assertNone(pages, (file) =>
      [...textOf(file).matchAll(/\]\((?!\w+:|#)([^)#\s]+)/g)]
        .map((match) => match[1] as string)
        .filter((link) => !existsSync(join(ROOT, dirname(file), link)))
        .map((link) => `links to ${link}, which is not there`),
    );
  });

  test('every promise names tests that are there', () => {
    const promises = textOf('docs/GUARANTEES.md').split(/^## (?=G\d)/m);
    assert.equal(promises.length, 1 + 8);
    for (const promise of promises) {
      const named = [...promise.matchAll(/\]\(\.\.\/(test\/[^)]+)\)[:.,]((?:\s*,?\s*`[^`]+`)*)/g)];
      assert.ok(named.length > 1, `${promise.slice(0, 30)}: no tests are named`);
      for (const [, file = '', names = ''] of named) {
        for (const [, name = ''] of names.matchAll(/`([^`]+)`/g)) {
          assert.ok(textOf(file).includes(name), `docs/GUARANTEES.md: ${file} has no '${name}'`);
        }
      }
    }
  });
});

describe('package.json', () => {
  test('every dependency is a version or a caret range of one, from the registry', () => {
    const all = Object.entries({ ...pkg.dependencies, ...pkg.devDependencies });
    const loose = all.filter(([, range]) => !/^\^?\d+\.\d+(?:\.\d+)?$/.test(range));
    assert.deepEqual(loose, []);
  });

  test('what would need a newer Node, or decides what verify says, is pinned', () => {
    const pins: Record<string, RegExp> = {
      commander: /^14\./,
      nats: /^2\.29/,
      'better-sqlite3': /^12\./,
      '@biomejs/biome': /^2\.\d/,
      oxlint: /^1\.\d/,
    };
    const all = { ...pkg.dependencies, ...pkg.devDependencies };
    const wrong = Object.entries(pins).filter(([name, pin]) => name in all && !pin.test(all[name] as string));
    assert.deepEqual(
      wrong.map(([name]) => name),
      [],
    );
  });

  test('the lock is in step with it, and names checksums but no host of a registry', () => {
    const lock = JSON.parse(committed('package-lock.json')) as { packages: Record<string, Lock> };
    const asked = JSON.parse(committed('package.json')) as PackageJson;
    const { dependencies, devDependencies, engines } = lock.packages[''] as PackageJson & Lock;
    assert.deepEqual(dependencies, asked.dependencies);
    assert.deepEqual(devDependencies, asked.devDependencies);
    assert.deepEqual(engines, asked.engines);
    const locked = Object.entries(lock.packages).filter(([path]) => path !== '');
    assert.ok(locked.length > 20, 'the packages were not found');
    const faulty = locked.filter(([, { integrity, resolved }]) => !integrity || resolved !== undefined);
    assert.deepEqual(
      faulty.map(([path]) => path),
      [],
    );
  });

  test('every npm command in the pages exists', () => {
    const pages = filesUnder().filter((file) => file.endsWith('.md'));
    assertNone(pages, (file) =>
      [...textOf(file).matchAll(/\bnpm run (?:-s )?([\w:-]+)/g)]
        .map((match) => match[1] as string)
        .filter((name) => !(name in pkg.scripts))
        .map((name) => `names npm run ${name}, which package.json has not`),
    );
  });
});

/** Fails with one line for each fault, `<file>: <fault>`. */
function assertNone(files: string[], faultsOf: (file: string) => string[]): void {
  assert.ok(files.length > 0, 'there is nothing to look at');
  const faults = files.flatMap((file) => faultsOf(file).map((fault) => `${file}: ${fault}`));
  assert.equal(faults.length, 0, `\n${faults.join('\n')}`);
}

/** A file as it is committed (an install may have written to it since), or as it is where there is no git. */
function committed(file: string): string {
  const shown = spawnSync('git', ['show', `HEAD:./${file}`], { cwd: ROOT, encoding: 'utf8' });
  return shown.status === 0 ? shown.stdout : textOf(file);
}

function linesOf(file: string): { line: string; at: number }[] {
  return textOf(file)
    .split('\n')
    .map((line, index) => ({ line, at: index + 1 }));
}

/** The package of an import; nothing for a file or a part of Node. */
function packageName(specifier: string): string | undefined {
  if (specifier.startsWith('.') || specifier.startsWith('node:')) return undefined;
  const [scope, name] = specifier.split('/');
  return specifier.startsWith('@') ? `${scope}/${name}` : scope;
}

/** The source of a published file: `./dist/cli/main.js` is made from `cli/main.ts`. */
function sourceOf(published: string): string {
  return published.replace(/^\.\/dist\//, '').replace(/\.js$/, '.ts');
}
