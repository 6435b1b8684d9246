/** Which epics have changed since it was last told, and who is told. */
export class Changes {
  readonly #listeners = new Set<(epics: ReadonlySet<string>) => void>();
  readonly #changed = new Set<string>();

  add(epic: string): void {
    this.#changed.add(epic);
  }

  /** Returns the unsubscribe. */
  listen(listener: (epics: ReadonlySet<string>) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  tell(): void {
    if (this.#changed.size === 0) return;
    const changed = new Set(this.#changed);
    this.#changed.clear();
    for (const listener of this.#listeners) listener(changed);
  }
}
