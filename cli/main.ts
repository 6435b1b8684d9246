#!/usr/bin/env node
/**
 * The command `gimme`. Owns parsing, the one line that an error gets, and the exit code.
 *
 * X1: every failure is one line on stderr and the exit code of the errors table; never a stack.
 * X2: an option that is not known is refused; nothing is ignored.
 */
import { fileURLToPath } from 'node:url';
import { CommanderError } from 'commander';
import { GimmeError } from '../shared/core/errors.ts';
import { oneLine, say } from './output.ts';
import { buildProgram } from './program.ts';
import { checkedWords, usageError } from './usage.ts';

async function main(argv: readonly string[]): Promise<number> {
  let exitCode = 0;
  const ended = (code: number): void => {
    exitCode = code;
  };
  const program = buildProgram(fileURLToPath(import.meta.url), ended);
  try {
    await program.parseAsync(checkedWords(program, argv), { from: 'user' });
    return exitCode;
  } catch (thrown) {
    const error = thrown instanceof CommanderError ? usageError(thrown) : thrown;
    return error === undefined ? 0 : report(error);
  }
}

/** X1: what a person gets to see of an error. */
function report(error: unknown): number {
  if (error instanceof GimmeError) {
    say(`gimme: ${oneLine(error.message)}`);
    return error.exitCode;
  }
  const message = error instanceof Error ? error.message : String(error);
  say(`gimme: a fault in Gimmework: ${oneLine(message)}. Please report it; GIMMEWORK_STACK=1 shows where`);
  if (process.env['GIMMEWORK_STACK'] === '1' && error instanceof Error) say(error.stack ?? '');
  return 1;
}

/** A reader that left (`| head`) has all it wanted. */
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? 0 : 1);
});
process.stderr.on('error', () => {});
for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
  process.on(event, (error) => process.exit(report(error)));
}

const code = await main(process.argv.slice(2));
process.stdout.write('', () => process.exit(code));
