/** The completion script in a real bash: what it offers after what was typed. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { completionScript } from '../../../cli/completion.ts';
import { buildProgram } from '../../../cli/program.ts';
import { gimme } from './gimme.ts';

const script = completionScript(
  buildProgram('main.ts', () => {}),
  'bash',
);

/** What a Tab behind this line offers. */
function offered(line: string): string[] {
  const words = line.split(' ');
  const typed = words.map((word) => `'${word}'`).join(' ');
  const ask = `COMP_WORDS=(${typed}); COMP_CWORD=${words.length - 1}; _gimme; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const ran = spawnSync('bash', ['--norc', '-c', `${script}\n${ask}`], { encoding: 'utf8' });
  assert.deepEqual([ran.status, ran.stderr], [0, '']);
  return ran.stdout.split('\n').filter((word) => word !== '');
}

test('commands, those below them, flags and their values', () => {
  assert.ok(['demo', 'epic', 'master', 'completion'].every((name) => offered('gimme ').includes(name)));
  assert.deepEqual(offered('gimme ep'), ['epic']);
  assert.deepEqual(offered('gimme epic wa'), ['watch', 'wait']);
  assert.deepEqual(offered('gimme epic ls --st'), ['--state']);
  assert.deepEqual(offered('gimme epic ls --state '), ['running', 'finished', 'failed', 'cancelled']);
  assert.deepEqual(offered('gimme epic ls -o js'), ['json', 'jsonl']);
  assert.deepEqual(offered('gimme epic submit newsletter --source recipients'), [], 'files are the shell’s');
  assert.ok(offered('gimme worker --slots 4 --').includes('--works'));
});

test('the command prints it for each shell, and no other', async () => {
  const bash = await gimme(['completion', 'bash']);
  assert.deepEqual([bash.code, bash.stdout], [0, `${script}\n`]);
  const zsh = await gimme(['completion', 'zsh']);
  assert.match(zsh.stdout, /\nautoload -U \+X bashcompinit && bashcompinit\n_gimme\(\) \{\n/);
  const fish = await gimme(['completion', 'fish']);
  assert.equal(fish.code, 2);
  assert.match(fish.stderr, /^gimme: [^\n]*'fish' is invalid[^\n]*bash, zsh[^\n]*\n$/);
});
