/**
 * The newsletter: the bundled work that renders a mail per recipient and sends it by SMTP.
 * Owns its steps and their settings; `render.ts` and `mailer.ts` do the work.
 */

import type { Duration } from '../../shared/core/duration.ts';
import { GimmeError } from '../../shared/core/errors.ts';
import type { StepContext, WorkDefinition } from '../../shared/core/work.ts';
import { defineWork } from '../../shared/core/work.ts';
import type { NewsletterBrief } from './brief.ts';
import { checkBrief } from './brief.ts';
import type { DkimOptions } from './dkim.ts';
import type { Mailer, MailerTimeouts } from './mailer.ts';
import { openMailer } from './mailer.ts';
import type { Recipient } from './recipient.ts';
import { recipientSchema } from './recipient.ts';
import { render } from './render.ts';
import { type Skeleton, skeletonOf } from './skeleton.ts';

export type { CompiledBrief, NewsletterBrief } from './brief.ts';
export { checkBrief } from './brief.ts';
export type { DkimOptions } from './dkim.ts';
export type { Recipient } from './recipient.ts';
export { recipientSchema } from './recipient.ts';

export type NewsletterOptions = {
  /** `smtp://[user:password@]host[:port]` or `smtps://…`. */
  smtp: string;
  /** SMTP sessions per worker. Defaults to 20. */
  connections?: number;
  /**
   * `at-most-once`: where nobody can know whether a mail went out, its unit becomes `unknown`.
   * `at-least-once`: it is sent again, so a recipient may get it twice. Defaults to `at-most-once`.
   */
  effect?: 'at-most-once' | 'at-least-once';
  /** First pause before a mail is tried again. Defaults to 30 s, as mail servers that defer expect. */
  retryFirst?: Duration;
  timeouts?: Partial<MailerTimeouts>;
  /** Signs each mail for a domain (DKIM). Defaults to no signature. */
  dkim?: DkimOptions | undefined;
};

/** Defines the newsletter for one SMTP server. Throws GimmeError `bad_config` for a bad URL or DKIM key. */
export function newsletter(options: NewsletterOptions): WorkDefinition<Recipient, NewsletterBrief> {
  const { smtp, connections = 20, timeouts = {}, dkim } = options;
  if (!Number.isInteger(connections) || connections < 1) {
    throw new GimmeError(
      'bad_config',
      `connections must be a whole number of at least 1, not ${connections}`,
    );
  }
  const mailer: Mailer = openMailer({ smtp, connections, timeouts, dkim });
  return defineWork<Recipient, NewsletterBrief>('newsletter', {
    schema: recipientSchema,
    key: (recipient) => recipient.email.toLowerCase(),
    prepare: (brief) => skeletonOf(checkBrief(brief)),
    start: () => mailer.verify(),
    stop: () => mailer.close(),
  })
    .step('render', (recipient, ctx) => render(recipient, prepared(ctx)))
    .step(
      'send',
      {
        effect: options.effect ?? 'at-most-once',
        timeout: '60s',
        retry: { attempts: 6, backoff: { first: options.retryFirst ?? '30s', factor: 4, max: '2h' } },
      },
      (mail, ctx) => mailer.send(mail, ctx.effectKey, ctx.signal),
    );
}

/** What `prepare` made of the brief is what the steps get as `ctx.brief`. */
function prepared(ctx: StepContext<NewsletterBrief>): Skeleton {
  return ctx.brief as unknown as Skeleton;
}
