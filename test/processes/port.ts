/**
 * A port that a process can come back to: below the range from which the system gives ports to outgoing
 * connections, so that nothing takes it while its owner is dead.
 */
import { createServer } from 'node:net';

const FIRST = 15_000;
const COUNT = 15_000;
const TRIES = 50;

/** Finds one that is free now. */
export async function lastingPort(): Promise<number> {
  for (let i = 0; i < TRIES; i++) {
    const port = FIRST + Math.floor(Math.random() * COUNT);
    if (await isFree(port)) return port;
  }
  throw new Error(`no free port from ${FIRST} on in ${TRIES} tries`);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
