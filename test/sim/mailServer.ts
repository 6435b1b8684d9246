/** The outside world of the model: counts how often each unit's effect happened. */
export class MailServer {
  readonly #counts = new Map<string, number>();

  happened(epic: string, unit: number): number {
    const key = `${epic}.${unit}`;
    const count = (this.#counts.get(key) ?? 0) + 1;
    this.#counts.set(key, count);
    return count;
  }

  count(epic: string, unit: number): number {
    return this.#counts.get(`${epic}.${unit}`) ?? 0;
  }
}
