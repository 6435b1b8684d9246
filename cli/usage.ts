/**
 * How a mistaken command line is answered: one line, exit 2. Owns the list of what is planned and not
 * there yet, so that it is refused by name and never ignored.
 */
import type { CommanderError } from 'commander';
import { GimmeError } from '../shared/core/errors.ts';

const LATER_FLAGS = new Set([
  '--deadline',
  '--priority',
  '--rate',
  '--rate-key',
  '--idempotency-key',
  '--key',
  '--lease',
  '--heartbeat',
  '--drain',
  '--dry-run',
  '--reply-to',
  '--retention',
  '--code',
  '--confirm',
]);
const LATER_COMMANDS = new Set([
  ...['init', 'dev', 'ask', 'top', 'config', 'openapi', 'completion', 'master ls'],
  ...['failures', 'units', 'why', 'results', 'pause', 'resume', 'set', 'retry'].map((name) => `epic ${name}`),
]);

/** Makes one error with one line of what commander found; undefined where help or version was asked for. */
export function usageError(error: CommanderError, argv: readonly string[]): GimmeError | undefined {
  if (error.exitCode === 0) return undefined;
  const words = argv.filter((word) => !word.startsWith('-'));
  const later = [words.slice(0, 2).join(' '), words[0] ?? ''].find((name) => LATER_COMMANDS.has(name));
  if (later !== undefined) return usage(`gimme ${later} is not supported yet`);
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
