/** The worker's metrics for Prometheus, and the small server that they are scraped from. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { GimmeError } from '../../shared/core/errors.ts';

const SECONDS = [0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30, 120];
/** Channel on which a work tells the replies of its mail servers: `{ class: '2xx' }` and so on. */
const SMTP_REPLIES = 'gimmework:smtp-reply';

export type StepOutcome = 'done' | 'skipped' | 'retried' | 'failed' | 'unknown';

export type WorkerGauges = {
  slots: number;
  running: () => number;
  held: () => number;
  heldMax: () => number;
};

type Observed = { duration: (seconds: number) => void; attempt: () => void };

export class WorkerMetrics {
  readonly #registry = new Registry();
  readonly #children = new Map<string, Observed>();
  readonly #duration: Histogram<'work' | 'step' | 'outcome'>;
  readonly #attempts: Counter<'work' | 'step' | 'outcome'>;
  readonly #smtp: Counter<'class'>;
  readonly #onReply = (message: unknown): void => {
    this.#smtp.inc({ class: (message as { class: string }).class });
  };
  #server: Server | undefined;

  constructor(version: string, gauges: WorkerGauges) {
    const registers = [this.#registry];
    collectDefaultMetrics({ register: this.#registry });
    const labelNames = ['work', 'step', 'outcome'] as const;
    const name = 'gimmework_step_duration_seconds';
    this.#duration = new Histogram({
      name,
      help: 'Time of one run of a step',
      labelNames,
      registers,
      buckets: SECONDS,
    });
    const attempts = 'gimmework_step_attempts_total';
    this.#attempts = new Counter({
      name: attempts,
      help: 'Runs of a step by how they ended',
      labelNames,
      registers,
    });
    const help = 'Replies of mail servers by class';
    this.#smtp = new Counter({
      name: 'gimmework_smtp_replies_total',
      help,
      labelNames: ['class'],
      registers,
    });
    const info = { name: 'gimmework_build_info', help: 'Version and role of this process' };
    new Gauge({ ...info, labelNames: ['version', 'role'], registers }).set({ version, role: 'worker' }, 1);
    this.#gauge('worker_slots', 'Units this worker runs at the same time', () => gauges.slots);
    this.#gauge('worker_slots_busy', 'Units running', gauges.running);
    this.#gauge('mailbox_depth', 'Units held and not yet settled', gauges.held);
    this.#gauge('mailbox_depth_max', 'Most units ever held', gauges.heldMax);
    subscribe(SMTP_REPLIES, this.#onReply);
  }

  /** Notes a run of a step. */
  step(work: string, step: string, outcome: StepOutcome, ms: number): void {
    const key = `${work} ${step} ${outcome}`;
    let child = this.#children.get(key);
    if (!child) {
      const duration = this.#duration.labels(work, step, outcome);
      const attempts = this.#attempts.labels(work, step, outcome);
      child = { duration: (seconds) => duration.observe(seconds), attempt: () => attempts.inc() };
      this.#children.set(key, child);
    }
    child.duration(ms / 1_000);
    child.attempt();
  }

  /** Serves `/metrics`; resolves with the port. Throws port_taken. */
  listen(host: string, port: number): Promise<number> {
    const server = createServer((request, response) => {
      if (request.url?.split('?')[0] !== '/metrics') {
        response.writeHead(404).end('only /metrics is here\n');
        return;
      }
      this.#registry.metrics().then(
        (text) => response.writeHead(200, { 'content-type': this.#registry.contentType }).end(text),
        () => response.writeHead(500).end(),
      );
    });
    this.#server = server;
    return new Promise((resolve, reject) => {
      server.once('error', (cause) => {
        const cure = 'choose another address with --metrics-listen';
        reject(
          new GimmeError('port_taken', `cannot listen on ${host}:${port} (${cause.message}): ${cure}`, {
            cause,
          }),
        );
      });
      server.listen(port, host, () => resolve((server.address() as AddressInfo).port));
    });
  }

  close(): void {
    unsubscribe(SMTP_REPLIES, this.#onReply);
    this.#server?.close();
    this.#server?.closeAllConnections();
  }

  #gauge(name: string, help: string, value: () => number): void {
    new Gauge({
      name: `gimmework_${name}`,
      help,
      registers: [this.#registry],
      collect() {
        this.set(value());
      },
    });
  }
}
