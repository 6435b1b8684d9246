/**
 * A process of a run of chaos and its supervisor: killed, it is started again at once, with the same command.
 * It notes what was done to it, and an end that nobody gave it.
 */
import type { Process } from '../processes/process.ts';
import type { Whom } from './plan.ts';

/** What was done to a process, in wall time, and for how long it was away; `session` is a worker's. */
export type Done = {
  what: 'kill' | 'stop';
  whom: Whom;
  pid: number;
  session?: string;
  atMs: number;
  awayMs: number;
};

export type MemberOptions = {
  whom: Whom;
  start: () => Process;
  /** The line that it prints once it is at work; its group is a worker's session. */
  ready: RegExp;
  onDone: (done: Done) => void;
  /** Tells the session of each worker that comes to work. */
  onReady?: (pid: number, session: string) => void;
  onUnexpected: (story: string) => void;
};

/** A node that is started while NATS is away ends with this after some seconds; its supervisor starts it again. */
const NATS_AWAY = /NATS cannot be reached/;

export class Member {
  readonly #options: MemberOptions;
  #process: Process;
  /** Resolves once it is at work, or has ended before. */
  #readiness: Promise<void>;
  #state: 'starting' | 'ready' | 'stopped' | 'killed' = 'starting';
  #session: string | undefined;
  #continued: Promise<void> = Promise.resolve();
  #over = false;

  constructor(options: MemberOptions) {
    this.#options = options;
    this.#process = options.start();
    this.#readiness = this.#watch();
  }

  get isReady(): boolean {
    return this.#state === 'ready';
  }

  /** Waits until it is at work and goes on; false when it ended before. */
  async ready(): Promise<boolean> {
    await this.#continued;
    await this.#readiness;
    return this.isReady;
  }

  /** `kill -9`, and started again. */
  async kill(): Promise<void> {
    this.#state = 'killed';
    await this.#process.end('SIGKILL');
    this.#note('kill', 0);
    this.#start();
  }

  /** Stops it for this long; it goes on by itself. */
  stop(ms: number): void {
    this.#process.signal('SIGSTOP');
    this.#state = 'stopped';
    this.#note('stop', ms);
    this.#continued = new Promise((resolve) => {
      setTimeout(() => {
        this.#process.signal('SIGCONT');
        this.#state = 'ready';
        resolve();
      }, ms);
    });
  }

  /** Ends it as an operator would. */
  async end(): Promise<void> {
    await this.#continued;
    this.#over = true;
    await this.#process.end('SIGTERM');
  }

  #start(): void {
    this.#session = undefined;
    this.#state = 'starting';
    this.#process = this.#options.start();
    this.#readiness = this.#watch();
  }

  #note(what: Done['what'], awayMs: number): void {
    const { whom, onDone } = this.#options;
    const session = this.#session;
    const { pid } = this.#process;
    onDone({ what, whom, pid, ...(session !== undefined && { session }), atMs: Date.now(), awayMs });
  }

  async #watch(): Promise<void> {
    const process = this.#process;
    const { ready, onReady, onUnexpected } = this.#options;
    void process.ended.then(({ code, signal }) => {
      if (this.#process !== process || this.#state === 'killed' || this.#over) return;
      if (this.#state === 'starting' && NATS_AWAY.test(process.lastWords())) return this.#start();
      this.#state = 'killed';
      onUnexpected(`${process.name} ended by itself (${code ?? signal})\n${process.lastWords()}`);
    });
    const [, session] = (await process.line(ready).catch(() => undefined)) ?? [];
    if (this.#process !== process || this.#state !== 'starting') return;
    if (session === undefined) return;
    this.#session = session;
    this.#state = 'ready';
    onReady?.(process.pid, session);
  }
}
