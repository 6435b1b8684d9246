/** What an SMTP stub accepted, by its report: the other side's word on what was sent. */
import { readFileSync } from 'node:fs';

/** One accepted mail; `n` is how many times it had been accepted by then. */
export type Mail = { epic: string; unit: number; to: string; at: number; n: number };

export class Mails {
  readonly all: readonly Mail[];

  constructor(all: readonly Mail[]) {
    this.all = all;
  }

  get accepted(): number {
    return this.all.length;
  }

  /** Units that got a mail, ascending. */
  get units(): number[] {
    return [...new Set(this.all.map((mail) => mail.unit))].sort((a, b) => a - b);
  }

  get distinct(): number {
    return new Set(this.all.map((mail) => `${mail.epic}.${mail.unit}`)).size;
  }

  /** Units that got more than one, ascending. */
  get twice(): number[] {
    const units = this.all.filter((mail) => mail.n > 1).map((mail) => mail.unit);
    return [...new Set(units)].sort((a, b) => a - b);
  }
}

/** Reads a report as far as it is written; a last line that is not whole yet is left out. */
export function readMails(report: string): Mails {
  const whole = readFileSync(report, 'utf8').split('\n').slice(0, -1);
  const mails = whole.flatMap((line) => {
    const { id, to, at, n } = JSON.parse(line) as { id?: string; to: string; at: string; n: number };
    const [, epic, unit] = /^([A-Za-z0-9_-]+)\.(\d+)@/.exec(id ?? '') ?? [];
    if (id !== undefined && unit === undefined) throw new Error(`a mail of no unit: ${line}`);
    return epic === undefined ? [] : [{ epic, unit: Number(unit), to, at: Date.parse(at), n }];
  });
  return new Mails(mails);
}
