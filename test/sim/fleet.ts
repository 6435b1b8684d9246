/** Runs many seeds over as many processes as there are cores. */
import { type ChildProcess, fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Answer, Wanted } from './child.ts';
import { Summary } from './summary.ts';

const CHILD = fileURLToPath(new URL('./child.ts', import.meta.url));
/** Seeds given to a process at a time. */
const BATCH = 10;

/** Runs seeds 1 to `count`. Resolves with what failed first, if anything did; tells `onProgress` of seeds that ran. */
export function runSeeds(
  count: number,
  onProgress: (seeds: number) => void,
): Promise<{ summary: Summary; failure: string | undefined }> {
  const summary = new Summary();
  const children = new Set<ChildProcess>();
  let next = 1;
  return new Promise((resolve) => {
    const end = (failure: string | undefined): void => {
      for (const child of children) child.kill('SIGKILL');
      resolve({ summary, failure });
    };
    const feed = (child: ChildProcess): void => {
      if (next > count) {
        children.delete(child);
        child.disconnect();
        if (children.size === 0) end(undefined);
        return;
      }
      const wanted: Wanted = { from: next, to: Math.min(next + BATCH, count + 1) };
      next = wanted.to;
      child.send(wanted);
    };
    for (let i = Math.min(availableParallelism(), Math.ceil(count / BATCH)); i > 0; i--) {
      const child = fork(CHILD);
      children.add(child);
      child.on('message', ({ results, failure }: Answer) => {
        for (const result of results) summary.add(result);
        onProgress(summary.seeds);
        if (failure === undefined) feed(child);
        else end(failure);
      });
      child.on('exit', (code, signal) => {
        if (children.delete(child)) end(`a process of the simulator ended by ${signal ?? `code ${code}`}`);
      });
      feed(child);
    }
  });
}
