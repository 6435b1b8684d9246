/**
 * `npm run verify`: format, lint, types, tidy, build, in this order, one line each. Stops at the first fault and
 * shows what its tool said.
 */
import { spawnSync } from 'node:child_process';

for (const name of ['format', 'lint', 'types', 'tidy', 'build']) {
  const { status, stdout, stderr, error } = spawnSync('npm', ['run', '--silent', name], { encoding: 'utf8' });
  if (status !== 0) {
    console.error(`${stdout ?? ''}${stderr ?? ''}${error?.message ?? ''}`.trimEnd());
    console.error(`FAULT ${name} (npm run ${name})`);
    process.exit(1);
  }
  console.log(`ok ${name}`);
}
