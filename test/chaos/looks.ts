/**
 * Looks at an epic over HTTP while everything around it breaks. What it is told must add up each time, and what
 * was once told as settled must stay so, over every crash.
 */
import type { EpicStatus } from '../../shared/protocol/api.ts';

const EVERY_MS = 50;
const ANSWER_MS = 2_000;
const ENDED = ['succeeded', 'failed', 'skipped', 'cancelled', 'missing'] as const;

export class Looks {
  readonly faults: string[] = [];
  count = 0;
  last: EpicStatus | undefined;
  readonly #url: string;
  readonly #epic: string;
  #over = false;
  readonly #looking: Promise<void>;

  constructor(url: string, epic: string) {
    this.#url = url;
    this.#epic = epic;
    this.#looking = this.#look();
  }

  /** One look; undefined while nobody answers. */
  async once(): Promise<EpicStatus | undefined> {
    let answer: Response;
    let status: EpicStatus;
    try {
      const signal = AbortSignal.timeout(ANSWER_MS);
      answer = await fetch(`${this.#url}/v1/epics/${this.#epic}`, { signal });
      status = (await answer.json()) as EpicStatus;
    } catch {
      return undefined;
    }
    if (!answer.ok) this.faults.push(`the epic is not known any more: ${JSON.stringify(status)}`);
    else this.take(status);
    return answer.ok ? status : undefined;
  }

  async stop(): Promise<void> {
    this.#over = true;
    await this.#looking;
  }

  async #look(): Promise<void> {
    while (!this.#over) {
      await this.once();
      await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
    }
  }

  /** Takes one look in. */
  take(status: EpicStatus): void {
    const { totals } = status;
    const { read, outstanding, unknown } = totals;
    const fault = (what: string): void => {
      this.faults.push(`${what}: ${JSON.stringify(totals)} after ${JSON.stringify(this.last?.totals)}`);
    };
    this.count += 1;
    const sum = ENDED.reduce((all, outcome) => all + totals[outcome], unknown + outstanding);
    if (read !== sum) fault('the arithmetic is wrong');
    if (Object.values(totals).some((count) => count < 0)) fault('a count is below 0');
    if (status.state !== 'running' && outstanding > 0) fault(`${status.state} with units outstanding`);
    const before = this.last?.totals;
    if (before) {
      if (read < before.read) fault('units that were read are not any more');
      if (ENDED.some((outcome) => totals[outcome] < before[outcome])) fault('an outcome was taken back');
      if (read - outstanding < before.read - before.outstanding) fault('a settled unit is not any more');
    }
    this.last = status;
  }
}
