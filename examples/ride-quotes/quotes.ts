/**
 * The gather: a ride request goes to every driver that is near its start, and at the latest at its deadline the customer has
 * the quotes of those that have answered, the cheapest first.
 */
import { defineGather, type GatherDefinition, PermanentError, skip } from '../../client/index.ts';
import { askPhone } from './phones.ts';

export type Ride = { customer: string; from: string; to: string };
/** What a driver would take. `ride` is the number of the request that it answers: the id of its epic. */
export type Quote = { ride: string; driver: string; cents: number; minutes: number };
export type Quotes = {
  ride: string;
  from: string;
  to: string;
  quotes: Quote[];
  /** Drivers that were near when the ride was asked for; each has given a quote, declined, or said nothing. */
  asked: number;
  declined: number;
  silent: number;
};
export type RideQuotes = GatherDefinition<Ride, Quote, Quotes>;

export const DEADLINE = '5m';

/** The gather as it runs at a driver, whose phone is at `phones`; without one it only asks and folds. */
export function rideQuotes(driver?: { name: string; phones: string }): RideQuotes {
  return defineGather<Ride, Quote, Quotes>('ride-quotes')
    .broadcast(({ from }) => ({ area: from }))
    .step('quote', { timeout: DEADLINE, retry: { attempts: 1_000 } }, async (_ride, ctx) => {
      if (!driver) throw new PermanentError('nobody drives here', { code: 'no_driver' });
      const terms = await askPhone(driver, ctx.epic, ctx.signal);
      return terms ? { ride: ctx.epic, driver: driver.name, ...terms } : skip('the driver declines');
    })
    .gather({ deadline: DEADLINE }, (quotes, { epic, brief, items, missing, failed, unknown }) => {
      let silent = failed + unknown;
      for (let i = 0; i < missing.length; i += 2) silent += (missing[i + 1] ?? 0) - (missing[i] ?? 0);
      const { from, to } = brief;
      const cheapest = [...quotes].sort((a, b) => a.cents - b.cents || (a.driver < b.driver ? -1 : 1));
      const declined = items - quotes.length - silent;
      return { ride: epic, from, to, quotes: cheapest, asked: items, declined, silent };
    });
}
