/**
 * Following one epic: by `/v1/events`, and by asking where no WebSocket comes through. Owns the
 * connection, its renewal and the choice between both.
 *
 * States: connected (pushed states), apart (asks every POLL_MS and tries to connect again).
 * W1: only the newest state is kept for a slow consumer.
 * W2: the end state is always yielded, and is the last.
 */
import { type RawData, WebSocket } from 'ws';
import { GimmeError } from '../shared/core/errors.ts';
import { type EpicStatus, type EventMessage, isOver } from '../shared/protocol/api.ts';
import type { Client } from './client.ts';

const POLL_MS = 1_000;
/** A master that cannot be asked for this long is given up. */
const ABSENT_MS = 300_000;
/** One that takes a question and gives no answer for this long is absent. */
const ANSWER_MS = 10_000;
/** The master pings every 10 s; a connection this silent is dead. */
const SILENT_MS = 25_000;
const MESSAGE_BYTES_MAX = 4 * 1024 * 1024;
const NEVER = new AbortController().signal;

export type WatchOptions = {
  /** Ends the following, without an error. */
  signal?: AbortSignal;
  /** Told once when the master cannot be reached any more, and once when it answers again. */
  onMaster?: (state: 'gone' | 'back') => void;
};

/** Yields the states of an epic until its end, or until `signal` fires. */
export async function* followEpic(
  client: Client,
  id: string,
  { signal = NEVER, onMaster = () => {} }: WatchOptions = {},
): AsyncGenerator<EpicStatus> {
  const status = await client.status(id);
  let heardAt = performance.now();
  let isGone = false;
  const heard = (): void => {
    heardAt = performance.now();
    if (isGone) onMaster('back');
    isGone = false;
  };
  yield status;
  if (isOver(status.state)) return;
  for (;;) {
    const pushed = new PushedStates(client.master, id, signal);
    try {
      for (let state = await pushed.next(); state; state = await pushed.next()) {
        heard();
        yield state;
        if (isOver(state.state)) return; // W2
      }
    } finally {
      pushed.close();
    }
    await pause(POLL_MS, signal);
    if (signal.aborted) return;
    const answer = await answerOf(client, id, signal);
    if (signal.aborted) return;
    if (answer instanceof GimmeError) {
      if (performance.now() - heardAt > ABSENT_MS) throw answer;
      if (!isGone) onMaster('gone');
      isGone = true;
      continue;
    }
    heard();
    yield answer;
    if (isOver(answer.state)) return;
  }
}

/** The state of the epic, or why the master is absent; any other fault is thrown. */
async function answerOf(client: Client, id: string, signal: AbortSignal): Promise<EpicStatus | GimmeError> {
  const late = new AbortController();
  const silence = pause(ANSWER_MS, AbortSignal.any([signal, late.signal])).then(
    () => new GimmeError('master_unreachable', `the master at ${client.master} does not answer`),
  );
  const asked = client.status(id).catch((error: unknown) => {
    if (error instanceof GimmeError && error.code === 'master_unreachable') return error;
    throw error;
  });
  try {
    return await Promise.race([asked, silence]);
  } finally {
    late.abort();
  }
}

/** The states that come over one connection. Why it broke is not told: the follower asks and connects again. */
class PushedStates {
  readonly #socket: WebSocket;
  readonly #id: string;
  readonly #signal: AbortSignal;
  #newest: EpicStatus | undefined;
  #open = true;
  #wake = (): void => {};
  #silence: NodeJS.Timeout | undefined;

  constructor(master: string, id: string, signal: AbortSignal) {
    this.#id = id;
    this.#signal = signal;
    this.#socket = new WebSocket(`${master.replace(/^http/, 'ws')}/v1/events?epic=${id}`, {
      maxPayload: MESSAGE_BYTES_MAX,
      perMessageDeflate: false,
    });
    this.#heard();
    this.#socket.on('open', this.#heard);
    this.#socket.on('ping', this.#heard);
    this.#socket.on('message', this.#onMessage);
    this.#socket.on('close', this.#end);
    this.#socket.on('error', this.#end);
    signal.addEventListener('abort', this.#end, { once: true });
    if (signal.aborted) this.#end();
  }

  /** The newest state not yet given, once there is one; nothing once the connection has ended. */
  async next(): Promise<EpicStatus | undefined> {
    while (this.#newest === undefined && this.#open) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const state = this.#newest;
    this.#newest = undefined;
    return state;
  }

  close(): void {
    this.#end();
    clearTimeout(this.#silence);
    this.#signal.removeEventListener('abort', this.#end);
    this.#socket.terminate();
  }

  readonly #end = (): void => {
    this.#open = false;
    this.#wake();
  };

  readonly #heard = (): void => {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => this.#socket.terminate(), SILENT_MS);
  };

  readonly #onMessage = (data: RawData): void => {
    this.#heard();
    this.#newest = stateIn((data as Buffer).toString(), this.#id) ?? this.#newest; // W1
    this.#wake();
  };
}

function stateIn(text: string, id: string): EpicStatus | undefined {
  try {
    return (JSON.parse(text) as EventMessage).epics.find((epic) => epic.id === id);
  } catch {
    return undefined;
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done, { once: true });
    if (signal.aborted) done();
  });
}
