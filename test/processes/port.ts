/**
 * A port that a process can come back to: below the range from which the system gives ports to outgoing
 * connections, so that nothing takes it while its owner is dead.
 */
import { createServer } from 'node:net';

const FIRST = 15_000;
/** Each process of tests has a block of its own, so that those that run at once do not take each other's. */
const BLOCKS = 150;
const BLOCK = 100;
const TRIES = 50;

let next = Math.floor(Math.random() * BLOCK);

/** Finds one that is free now. */
export async function lastingPort(): Promise<number> {
  for (let i = 0; i < TRIES; i++) {
    const port = FIRST + (process.pid % BLOCKS) * BLOCK + (next++ % BLOCK);
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
