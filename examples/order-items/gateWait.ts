/** A worker's side of the gate: one connection for all its items. */
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { RetryableError } from '../../client/index.ts';
import type { Half } from './gate.ts';

type Door = { come: (item: number) => void; halves: Record<Half, Wait> };
type Wait = { opened: Promise<void>; open: () => void; shut: (error: Error) => void };

const doors = new Map<number, Door>();

/** Comes to the gate on this port and waits until it is opened for this item. */
export async function passGate(port: number, item: number): Promise<void> {
  const { come, halves } = doorOf(port);
  come(item);
  await halves[item % 2 === 0 ? 'even' : 'odd'].opened;
}

function doorOf(port: number): Door {
  const known = doors.get(port);
  if (known) return known;
  const halves = { even: wait(), odd: wait() };
  const socket = connect(port, '127.0.0.1');
  createInterface({ input: socket }).on('line', (line) => halves[line as Half].open());
  socket.on('error', () => {}); // Its close follows.
  socket.once('close', () => {
    doors.delete(port);
    const error = new RetryableError('the gate is gone', { code: 'gate_gone' });
    for (const half of Object.values(halves)) half.shut(error);
  });
  const door: Door = { come: (item) => void socket.write(`${item}\n`), halves };
  doors.set(port, door);
  return door;
}

function wait(): Wait {
  let open = (): void => {};
  let shut = (_error: Error): void => {};
  const opened = new Promise<void>((resolve, reject) => {
    open = resolve;
    shut = reject;
  });
  opened.catch(() => {}); // Whoever waits is told.
  return { opened, open, shut };
}
