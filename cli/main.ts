#!/usr/bin/env node
/** The command `gimme`, as a process: what it was started with, its streams, its end. What it does is `run.ts`. */
import { fileURLToPath } from 'node:url';
import { report, run } from './run.ts';

/** A reader that left (`| head`) has all it wanted. */
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? 0 : 1);
});
process.stderr.on('error', () => {});
for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
  process.on(event, (error) => process.exit(report(error)));
}

const code = await run(process.argv.slice(2), fileURLToPath(import.meta.url));
process.stdout.write('', () => process.exit(code));
