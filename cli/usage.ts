/**
 * How a mistaken command line is answered: one line, exit 2. Owns the list of what is planned and not
 * there yet, so that it is refused by name and never ignored.
 */
import type { Command, CommanderError } from 'commander';
import { GimmeError } from '../shared/core/errors.ts';

const LATER_FLAGS = new Set([
  '--priority',
  '--rate',
  '--rate-key',
  '--key',
  '--lease',
  '--heartbeat',
  '--drain',
]);
const LATER_COMMANDS = new Set(['epic set']);

/**
 * The command line with `help` in its place: `gimme help epic ls` is `gimme epic ls --help`. Throws usage where
 * its first words lead to no command, which commander leaves to the command above it.
 */
export function checkedWords(program: Command, argv: readonly string[]): string[] {
  const path: string[] = [];
  let command = program;
  let isHelp = false;
  for (const word of argv) {
    if (word.startsWith('-') || command.commands.length === 0) break;
    if (word === 'help') {
      isHelp = true;
      continue;
    }
    const next = command.commands.find((child) => child.name() === word);
    if (!next) throw unknownCommand([...path, word], command);
    path.push(word);
    command = next;
  }
  return isHelp ? [...path, '--help'] : [...argv];
}

function unknownCommand(path: readonly string[], above: Command): GimmeError {
  const full = path.join(' ');
  if (LATER_COMMANDS.has(full)) return usage(`gimme ${full} is not supported yet`);
  const names = above.commands.map((command) => command.name());
  const near = nearest(path.at(-1) ?? '', names);
  const parent = ['gimme', ...path.slice(0, -1)].join(' ');
  const cure = near ? `did you mean ${parent} ${near}?` : `\`${parent} --help\` lists the commands`;
  return usage(`there is no command gimme ${full}; ${cure}`);
}

/** The name that is one or two letters off, but less than half of the word, or that begins with it. */
function nearest(word: string, names: readonly string[]): string | undefined {
  const close = names
    .map((name) => ({ name, off: name.startsWith(word) ? 0 : lettersOff(word, name) }))
    .filter(({ off }) => off <= 2 && off < word.length / 2)
    .sort((a, b) => a.off - b.off);
  return close[0]?.name;
}

/** Letters to change, add or leave out to make one word the other (Levenshtein). */
function lettersOff(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const above = row;
    row = [i];
    for (let j = 1; j <= b.length; j++) {
      const kept = (above[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(kept, (above[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1));
    }
  }
  return row[b.length] ?? 0;
}

/** Makes one error with one line of what commander found; undefined where help or version was asked for. */
export function usageError(error: CommanderError): GimmeError | undefined {
  if (error.exitCode === 0) return undefined;
  const flag = /unknown option '(--[a-z-]+)/.exec(error.message)?.[1];
  if (flag !== undefined && LATER_FLAGS.has(flag)) return usage(`${flag} is not supported yet; leave it out`);
  if (error.code === 'commander.help') return usage('a command is missing; the list above shows them');
  return usage(
    error.message
      .replace(/^error: /, '')
      .replace(/\s+/g, ' ')
      .trim(),
  );
}

function usage(message: string): GimmeError {
  return new GimmeError('usage', message);
}
