/** The worker's metrics for Prometheus, and the small server that they are scraped from. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { GimmeError } from '../../shared/core/errors.ts';
import { HELD_UNITS_MAX } from '../../shared/core/limits.ts';

const SECONDS = [0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30, 120];
/** Channel on which a work tells the replies of its mail servers: `{ class: '2xx' }` and so on. */
const SMTP_REPLIES = 'gimmework:smtp-reply';
/** Gauges of prom-client's own set that are named as counters are; each is there under its right name, too. */
const MISNAMED = [
  'nodejs_active_handles_total',
  'nodejs_active_requests_total',
  'nodejs_active_resources_total',
];

export type StepOutcome = 'done' | 'skipped' | 'retried' | 'failed' | 'unknown';

export type WorkerGauges = {
  slots: number;
  running: () => number;
  held: () => number;
  heldMax: () => number;
  /** What kind the link is. */
  link: string;
  reconnects: () => number;
};

/** What one metric is, for docs/OPERATING.md. */
export type MetricRow = { name: string; kind: string; labels: readonly string[]; help: string };

type Observed = { duration: (seconds: number) => void; attempt: () => void };

export class WorkerMetrics {
  /** Every metric but those of prom-client's own set. */
  readonly rows: MetricRow[] = [];
  readonly #registry = new Registry();
  readonly #children = new Map<string, Observed>();
  readonly #duration: Histogram<'work' | 'step' | 'outcome'>;
  readonly #attempts = this.#counter('step_attempts_total', 'Runs of a step by how they ended', [
    'work',
    'step',
    'outcome',
  ]);
  readonly #smtp = this.#counter('smtp_replies_total', 'Replies of mail servers to mails, by class', [
    'class',
  ]);
  readonly #onReply = (message: unknown): void => {
    this.#smtp.inc({ class: (message as { class: string }).class });
  };
  #server: Server | undefined;

  constructor(version: string, gauges: WorkerGauges) {
    const registers = [this.#registry];
    collectDefaultMetrics({ register: this.#registry });
    for (const name of MISNAMED) this.#registry.removeSingleMetric(name);
    const labelNames = ['work', 'step', 'outcome'] as const;
    const step = this.#row('step_duration_seconds', 'histogram', labelNames, 'Time of one run of a step');
    this.#duration = new Histogram({ ...step, labelNames, registers, buckets: SECONDS });
    const info = this.#gauge('build_info', 'Version and role of this process', ['version', 'role']);
    info.set({ version, role: 'worker' }, 1);
    this.#gauge('worker_slots', 'Units this worker runs at the same time', [], () => gauges.slots);
    this.#gauge('worker_slots_busy', 'Units running', [], gauges.running);
    this.#gauge('mailbox_depth', 'Units held and not yet settled', [], gauges.held);
    this.#gauge('mailbox_depth_max', 'Most units ever held', [], gauges.heldMax);
    this.#gauge('mailbox_limit', 'Units that a worker holds at most', [], () => HELD_UNITS_MAX);
    this.#counter('link_reconnects_total', 'Times a lost link was made again', ['link'], (counter) => {
      counter.reset();
      counter.inc({ link: gauges.link }, gauges.reconnects());
    });
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

  #counter<L extends string>(
    name: string,
    help: string,
    labelNames: readonly L[],
    collect?: (counter: Counter<L>) => void,
  ): Counter<L> {
    return new Counter<L>({
      ...this.#row(name, 'counter', labelNames, help),
      labelNames,
      registers: [this.#registry],
      ...(collect && {
        collect(this: Counter<L>) {
          collect(this);
        },
      }),
    });
  }

  #gauge<L extends string>(
    name: string,
    help: string,
    labelNames: readonly L[],
    value?: () => number,
  ): Gauge<L> {
    return new Gauge<L>({
      ...this.#row(name, 'gauge', labelNames, help),
      labelNames,
      registers: [this.#registry],
      ...(value && {
        collect(this: Gauge<L>) {
          this.set(value());
        },
      }),
    });
  }

  #row(
    shortName: string,
    kind: string,
    labels: readonly string[],
    help: string,
  ): { name: string; help: string } {
    const name = `gimmework_${shortName}`;
    this.rows.push({ name, kind, labels, help });
    return { name, help };
  }
}
