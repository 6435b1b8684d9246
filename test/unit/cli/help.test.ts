/** Every command tells what it is for in one line, its options in groups, and an example that can be copied. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Command } from 'commander';
import { buildProgram } from '../../../cli/program.ts';
import { checkedWords } from '../../../cli/usage.ts';
import { ERRORS } from '../../../shared/core/errors.ts';

const program = buildProgram('main.ts', () => {});

function all(command: Command): Command[] {
  return [command, ...command.commands.flatMap(all)];
}

function helpOf(command: Command): string {
  let text = '';
  command.configureOutput({ writeOut: (more) => (text += more) });
  command.outputHelp();
  return text;
}

function pathOf(command: Command): string {
  return command.parent ? `${pathOf(command.parent)} ${command.name()}` : command.name();
}

test('each command has a summary, a description of one sentence or two, and an example of itself', () => {
  const commands = all(program);
  assert.ok(commands.length > 12);
  for (const command of commands) {
    const path = pathOf(command);
    const help = helpOf(command);
    assert.match(command.description(), /^[A-Z][^\n]{10,160}\.$/, path);
    assert.ok(help.includes(command.description().split(' ').slice(0, 3).join(' ')), path);
    assert.match(help, new RegExp(`\\nExample:\\n {2}${path}( .*)?\\n$`), path);
    if (command.parent) assert.match(command.summary(), /^[^\n]{10,100}[^.]$/, path);
  }
});

test('options that many commands share stand in groups of their own', () => {
  const help = helpOf(program.commands.find((command) => command.name() === 'worker') as Command);
  const groups = [...help.matchAll(/^(\w[^:\n]*):$/gm)].map((match) => match[1]);
  assert.deepEqual(groups.slice(0, 4), ['Options', 'Link over NATS', 'Log', 'Commands']);
});

test('every exit code of the errors table is told', () => {
  const help = helpOf(program);
  const told = new Set(
    [...help.slice(help.indexOf('Exit codes')).matchAll(/\b(\d+) {2,}\w/g)].map((m) => Number(m[1])),
  );
  for (const [code, { exit }] of Object.entries(ERRORS)) assert.ok(told.has(exit), `${code} exits ${exit}`);
});

test('help is a word where a command is expected, and a name elsewhere', () => {
  const words = (line: string): string => checkedWords(program, line.split(' ')).join(' ');
  assert.equal(words('help'), '--help');
  assert.equal(words('help epic ls'), 'epic ls --help');
  assert.equal(words('epic help ls'), 'epic ls --help');
  assert.equal(words('epic get help'), 'epic get help');
  assert.equal(words('worker --works help'), 'worker --works help');
  assert.throws(() => words('epic lss --help'), { message: /did you mean gimme epic ls\?/ });
  assert.throws(() => words('master los'), { message: /did you mean gimme master ls\?/ });
  assert.throws(() => words('epic wach'), { message: /did you mean gimme epic watch\?/ });
});
