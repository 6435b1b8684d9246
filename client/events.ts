/**
 * Following one epic: by `/v1/events`, and by asking where no WebSocket comes through. Owns the
 * connection, its renewal and the choice between both.
 *
 * States: connected (pushed states), apart (asks every POLL_MS, tries to connect again beside it).
 * W1: only the newest state is kept for a slow consumer.
 * W2: the end state is always yielded, and is the last.
 */
import { WebSocket } from 'ws';
import { GimmeError } from '../shared/core/errors.ts';
import type { EpicStatus, EventMessage } from '../shared/protocol/api.ts';
import type { Client } from './client.ts';

const POLL_MS = 1_000;
/** A master that cannot be asked for this long is given up. */
const ABSENT_MS = 30_000;
/** The master pings every 10 s; a connection this silent is dead. */
const SILENT_MS = 25_000;
const MESSAGE_BYTES_MAX = 4 * 1024 * 1024;

/** Yields the states of an epic until its end, or until `signal` fires. */
export async function* followEpic(client: Client, id: string, signal?: AbortSignal): AsyncGenerator<EpicStatus> {
  let status = await client.status(id);
  let heardAt = performance.now();
  yield status;
  while (status.state === 'running' && !signal?.aborted) {
    for await (const pushed of pushedStates(client.master, id, signal)) {
      status = pushed;
      heardAt = performance.now();
      yield status;
      if (status.state !== 'running') return;
    }
    if (signal?.aborted) return;
    await pause(POLL_MS, signal);
    try {
      status = await client.status(id);
      heardAt = performance.now();
      yield status;
    } catch (error) {
      const absent = error instanceof GimmeError && error.code === 'master_unreachable';
      if (!absent || performance.now() - heardAt > ABSENT_MS) throw error;
    }
  }
}

/** One connection's states; ends when it breaks, without saying why: the follower asks and connects again. */
async function* pushedStates(master: string, id: string, signal?: AbortSignal): AsyncGenerator<EpicStatus> {
  const socket = new WebSocket(`${master.replace(/^http/, 'ws')}/v1/events?epic=${id}`, {
    maxPayload: MESSAGE_BYTES_MAX,
    perMessageDeflate: false,
    handshakeTimeout: SILENT_MS,
  });
  let newest: EpicStatus | undefined;
  let open = true;
  let wake = (): void => {};
  const end = (): void => {
    open = false;
    wake();
  };
  let silence = setTimeout(() => socket.terminate(), SILENT_MS);
  const heard = (): void => {
    clearTimeout(silence);
    silence = setTimeout(() => socket.terminate(), SILENT_MS);
  };
  socket.on('ping', heard);
  socket.on('message', (data) => {
    heard();
    newest = stateIn(String(data), id) ?? newest; // W1
    wake();
  });
  socket.on('close', end);
  socket.on('error', end);
  signal?.addEventListener('abort', end, { once: true });
  try {
    while (true) {
      const state = newest;
      newest = undefined;
      if (state) yield state;
      else if (!open) return;
      else await new Promise<void>((resolve) => {
        wake = resolve;
        if (newest || !open) resolve();
      });
    }
  } finally {
    clearTimeout(silence);
    signal?.removeEventListener('abort', end);
    socket.terminate();
  }
}

function stateIn(text: string, id: string): EpicStatus | undefined {
  try {
    return (JSON.parse(text) as EventMessage).epics.find((epic) => epic.id === id);
  } catch {
    return undefined;
  }
}

function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener('abort', done, { once: true });
  });
}
