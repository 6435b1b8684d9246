/** What the office offers: it asks the drivers of an area and folds their quotes, and has no car of its own. */
import { rideQuotes } from './quotes.ts';

export const office = rideQuotes();
