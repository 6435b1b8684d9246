/** An order, its items, and what processing one comes to. Owns how an order is split and how it is summed up. */
import { PermanentError } from '../../client/index.ts';

/** What is asked for: the request of the gather. */
export type Order = {
  id: string;
  items: number;
  /** Port of the gate at which its items answer. */
  gate: number;
  /** The item at which the split comes upon one that nobody sells; absent where all can be had. */
  brokenAt?: number;
};
export type Item = { number: number; article: string; quantity: number; cents: number };
export type Processed = { number: number; quantity: number; cents: number };
export type Summary = { order: string; items: number; quantity: number; cents: number };

/** Splits an order, item by item. Throws PermanentError at one that cannot be had. */
export function* split({ items, brokenAt }: Order): Generator<Item> {
  for (let number = 0; number < items; number++) {
    if (number === brokenAt)
      throw new PermanentError(`nobody sells item ${number}`, { code: 'unknown_article' });
    yield itemOf(number);
  }
}

export function itemOf(number: number): Item {
  const article = `${String(number).padStart(6, '0')} of the catalogue that this shop has had since it was opened`;
  return { number, article, quantity: 1 + (number % 3), cents: 199 + (number % 500) };
}

export function process({ number, quantity, cents }: Item): Processed {
  return { number, quantity, cents: quantity * cents };
}

export function summaryOf(order: string, answers: Iterable<Processed>): Summary {
  const summary = { order, items: 0, quantity: 0, cents: 0 };
  for (const answer of answers) add(summary, answer);
  return summary;
}

/** Adds one answer to what an order came to so far. */
export function add(summary: Summary, { quantity, cents }: Processed): void {
  summary.items += 1;
  summary.quantity += quantity;
  summary.cents += cents;
}

/** What an order must come to, whoever sums it up. */
export function expected({ id, items }: Pick<Order, 'id' | 'items'>): Summary {
  return summaryOf(
    id,
    Array.from({ length: items }, (_, number) => process(itemOf(number))),
  );
}
