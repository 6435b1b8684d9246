/**
 * One command from its words to its exit code. Owns parsing and the one line that an error gets; the process around it
 * is `main.ts`.
 *
 * X1: every failure is one line on stderr and the exit code of the errors table; never a stack.
 * X2: an option that is not known is refused; nothing is ignored.
 */
import { CommanderError } from 'commander';
import { GimmeError } from '../shared/core/errors.ts';
import { oneLine, say } from './output.ts';
import { buildProgram } from './program.ts';
import { checkedWords, usageError } from './usage.ts';

/** Runs these words; `entry` is the file that starts the command as a process. Returns the exit code. */
export async function run(argv: readonly string[], entry: string): Promise<number> {
  let exitCode = 0;
  const ended = (code: number): void => {
    exitCode = code;
  };
  const program = buildProgram(entry, ended);
  try {
    await program.parseAsync(checkedWords(program, argv), { from: 'user' });
    return exitCode;
  } catch (thrown) {
    const error = thrown instanceof CommanderError ? usageError(thrown) : thrown;
    return error === undefined ? 0 : report(error);
  }
}

/** X1: says what a person gets to see of an error, and returns its exit code. */
export function report(error: unknown): number {
  if (error instanceof GimmeError) {
    say(`gimme: ${oneLine(error.message)}`);
    return error.exitCode;
  }
  const message = error instanceof Error ? error.message : String(error);
  say(`gimme: a fault in Gimmework: ${oneLine(message)}. Please report it; GIMMEWORK_STACK=1 shows where`);
  if (process.env['GIMMEWORK_STACK'] === '1' && error instanceof Error) say(error.stack ?? '');
  return 1;
}
