/** The test runner, run on small folders and files: what makes a run good, and each way in which it is not. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const FIXTURES = 'test/fixtures/runner';

describe('the test runner', () => {
  test('passes when every test passes, and counts tests, not suites', () => {
    const { status, stdout, stderr } = runTests('passing.ts');
    assert.equal(stderr, '');
    assert.equal(closing(stdout), '2 passed, 0 failed');
    assert.equal(status, 0);
  });

  test('fails when a test fails, and counts it once', () => {
    const { status, stdout } = runTests('failing.ts');
    assert.equal(closing(stdout), '1 passed, 1 failed');
    assert.equal(status, 1);
  });

  test('fails on a folder without test files', () =>
    assertFault(['empty'], /no test files in .*runner\/empty$/m));

  test('fails on a file or folder that does not exist', () =>
    assertFault(['absent'], /runner\/absent does not exist$/m));

  test('fails on a file that holds no tests, even beside one that does', () => {
    assertFault(['passing.ts', 'without-tests.ts'], /runner\/without-tests\.ts: holds no tests$/m);
  });

  test('fails on a skipped test', () => assertFault(['skipped.ts'], /skipped\.ts: is left out: skipped$/m));

  test('fails on a test that skips itself', () =>
    assertFault(['skipping.ts'], /leaves itself out: skipped$/m));

  test('fails on a todo test', () => assertFault(['todo.ts'], /todo\.ts: is for later: todo$/m));

  test('fails on a file that does not load', () => assertFault(['crashing.ts'], /1 failed$/m));

  test('fails on a suite whose hook throws', () => assertFault(['hook.ts'], /2 failed$/m));

  test('stops a file that does not end, and runs the others', () => {
    const { status, stdout } = runTests('hanging.ts', 'passing.ts', '--timeout-ms', '8000');
    assert.match(stdout, /hanging\.ts.*\n.*timed out after 8000ms/);
    assert.equal(closing(stdout), '2 passed, 1 failed');
    assert.equal(status, 1);
  });

  test('runs only what matches the pattern, without calling the rest skipped', () => {
    const { status, stdout, stderr } = runTests('passing.ts', 'failing.ts', '--grep', 'adds');
    assert.equal(stderr, '');
    assert.equal(closing(stdout), '1 passed, 0 failed');
    assert.equal(status, 0);
  });

  test('fails when nothing matches the pattern', () => {
    assertFault(['passing.ts', '--grep', 'no such name'], /no tests were run$/m);
  });

  test('refuses an option that it does not know', () => assertFault(['--gerp', 'x'], /--gerp/));
});

function assertFault(args: string[], fault: RegExp): void {
  const { status, stdout, stderr } = runTests(...args);
  assert.match(stderr, fault);
  assert.match(closing(stdout), /^\d+ passed, \d+ failed$/);
  assert.equal(status, 1);
}

function closing(stdout: string): string {
  return stdout.trimEnd().split('\n').at(-1) ?? '';
}

function runTests(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  const places = args.map((arg, at) =>
    arg.startsWith('--') || args[at - 1]?.startsWith('--') ? arg : `${FIXTURES}/${arg}`,
  );
  const env = { ...process.env, NO_COLOR: '1' };
  // Set by the run that this test is part of; with it node:test would refuse to run files.
  Reflect.deleteProperty(env, 'NODE_TEST_CONTEXT');
  const command = ['--import', 'tsx', 'test/run.ts', ...places];
  return spawnSync(process.execPath, command, { cwd: ROOT, env, encoding: 'utf8', timeout: 200_000 });
}
