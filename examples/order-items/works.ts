/**
 * The gather: an order is scattered into its items, each is processed by whichever worker has it, and the answers are
 * folded into one summary. No answer touches what another one wrote: the master alone counts them.
 */
import { defineGather } from '../../client/index.ts';
import { passGate } from './gateWait.ts';
import { type Order, type Processed, process, type Summary, split, summaryOf } from './order.ts';

export const orderItems = defineGather<Order, Processed, Summary>('order-items')
  .scatter((order) => split(order))
  .step('process', { timeout: '2m' }, async (item, ctx) => {
    const processed = process(item);
    await passGate(ctx.brief.gate, item.number);
    return processed;
  })
  .gather({ deadline: '10m' }, (answers, ctx) => summaryOf(ctx.brief.id, answers));
