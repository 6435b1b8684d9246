/** What the tidy test stands on: reading imports from text, and walking them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ERRORS } from '../../shared/core/errors.ts';
import { renderErrors } from '../tidy/errorsPage.ts';
import { codeUnder, fileUrlsOf, importsOf, reachable, target } from '../tidy/sources.ts';

test('reads every form of import', () => {
  const text = [
    "import './effects.ts';",
    "import { a } from './a.ts';",
    "import type { B } from './b.ts';",
    'import {\n  c,\n  type D,\n} from "./c.ts";',
    "import * as e from 'node:e';",
    "export { f } from './f.ts';",
    "export * from './g.ts';",
    "export type { H } from './h.ts';",
    "const i = await import('./i.ts');",
    "type J = import('nats').Connection;",
  ].join('\n');
  assert.deepEqual(importsOf(text).sort(), [
    './a.ts',
    './b.ts',
    './c.ts',
    './effects.ts',
    './f.ts',
    './g.ts',
    './h.ts',
    './i.ts',
    'nats',
    'node:e',
  ]);
});

test('reads the files that are named for threads and processes', () => {
  assert.deepEqual(fileUrlsOf("new Worker(new URL('./k.ts', import.meta.url));"), ['./k.ts']);
});

test('takes no import from code that only looks like one', () => {
  const text = [
    "export const from = 'x';",
    "export function copy(from: string): string {\n  return read(from, 'y');\n}",
    "// import { a } from './comment.ts';",
    ' * import { b } from "./doc.ts";',
  ].join('\n');
  assert.deepEqual(importsOf(text), []);
});

test('leads a relative import to its path from the root', () => {
  assert.equal(target('master/core/epic.ts', '../../shared/core/ids.ts'), 'shared/core/ids.ts');
  assert.equal(target('cli/main.ts', './commands/demo.ts'), 'cli/commands/demo.ts');
});

test('walks imports over several files, and not to what nobody imports', () => {
  const reached = reachable(['test/unit/tooling-tidy.test.ts']);
  assert.ok(reached.has('test/tidy/sources.ts'));
  assert.ok(reached.has('shared/core/errors.ts'), 'reached by way of the errors page');
  assert.ok(!reached.has('test/run.ts'));
});

test('looks at the code, and not at the files that break the law', () => {
  const code = codeUnder();
  assert.ok(code.includes('shared/core/errors.ts'));
  assert.deepEqual(
    code.filter((file) => file.includes('fixtures/law') || file.includes('node_modules')),
    [],
  );
});

test('the errors page has one row for each code', () => {
  const codes = [...renderErrors().matchAll(/^\| `(\w+)` \|/gm)].map((match) => match[1]);
  assert.deepEqual(codes, Object.keys(ERRORS));
});
