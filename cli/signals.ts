/** The signals that a person or a supervisor sends. A second Ctrl-C always ends at once with 130. */
import { ERRORS } from '../shared/core/errors.ts';

export type Stop = 'SIGTERM' | 'SIGINT' | 'SIGHUP' | 'parent gone';

/**
 * Calls `stop` at the first signal, or when the parent that holds an IPC channel is gone. Returns what
 * takes the handlers away again.
 */
export function onStop(stop: (why: Stop) => void): () => void {
  let stopping = false;
  const handle = (why: Stop): void => {
    if (stopping && why === 'SIGINT') process.exit(ERRORS.detached.exit);
    if (!stopping) stop(why);
    stopping = true;
  };
  const onGone = (): void => handle('parent gone');
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, handle);
  if (process.channel) {
    process.once('disconnect', onGone);
    process.channel.unref();
  }
  return () => {
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.off(signal, handle);
    process.off('disconnect', onGone);
  };
}

/** Resolves at the first signal. */
export function stopped(): Promise<Stop> {
  return new Promise((resolve) => {
    onStop(resolve);
  });
}
