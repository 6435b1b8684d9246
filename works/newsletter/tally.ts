/** The tally of an SMTP stub: which mails it accepted and how often. It keeps one number per mail. */

export type StubCounts = {
  /** Mails accepted, and how many different ones they were; duplicates is the difference. */
  accepted: number;
  distinct: number;
  duplicates: number;
  /** Replies of 451 and of 550. */
  deferred: number;
  rejected: number;
  /** Of the accepted: those whose reply was dropped. */
  droppedReplies: number;
  /** Mails left without an answer. */
  stalled: number;
};

export class Tally {
  rejected = 0;
  stalled = 0;
  droppedReplies = 0;
  #accepted = 0;
  #deferred = 0;
  #anonymous = 0;
  readonly #seen = new Set<number>();
  /** Only mails that came more than once. */
  readonly #again = new Map<number, number>();
  readonly #deferredOnce = new Set<number>();

  /** Counts a mail as accepted; returns how many times it now was. */
  accept(key: number): number {
    this.#accepted++;
    if (!this.#seen.has(key)) {
      this.#seen.add(key);
      return 1;
    }
    const n = (this.#again.get(key) ?? 1) + 1;
    this.#again.set(key, n);
    return n;
  }

  /** Tells whether a mail is to be deferred now, and counts it; true once per mail. */
  isFirstDeferral(key: number): boolean {
    if (this.#deferredOnce.has(key)) return false;
    this.#deferredOnce.add(key);
    this.#deferred++;
    return true;
  }

  /** Number for a mail without a Message-ID: it can be compared with no other. */
  nextAnonymous(): number {
    return this.#anonymous++;
  }

  counts(): StubCounts {
    return {
      accepted: this.#accepted,
      distinct: this.#seen.size,
      duplicates: this.#accepted - this.#seen.size,
      deferred: this.#deferred,
      rejected: this.rejected,
      droppedReplies: this.droppedReplies,
      stalled: this.stalled,
    };
  }
}
