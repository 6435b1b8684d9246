/**
 * Return addresses: which may be given with a gather, and how one is told. Owns the ways there are on this master: signed
 * webhooks where it has a secret, NATS subjects where its link is NATS.
 *
 * R1: what can be known to be wrong when it is given is refused then; what a name resolves to is judged when it is told.
 */
import { GimmeError } from '../../shared/core/errors.ts';
import { isId } from '../../shared/core/ids.ts';
import { isPublicAddress } from './publicAddress.ts';
import { ipOf, sendWebhook, targetOf, type WebhookOptions } from './webhook.ts';

export type ReturnWays = {
  webhooks?: WebhookOptions;
  /** Subjects are `<prefix>.reply.<id>`; `publish` resolves once the server has it. */
  nats?: { prefix: string; publish: (id: string, body: Uint8Array) => Promise<void> };
  wallMs?: () => number;
};

/** `unwanted`: the receiver says that it wants no more, 410 (Standard Webhooks, "Webhook retries"). */
export type Told = 'told' | 'unwanted';

export class ReturnAddresses {
  readonly #ways: ReturnWays;

  constructor(ways: ReturnWays = {}) {
    this.#ways = ways;
  }

  /** Throws bad_reply_to where nobody can be told at this address, or nobody may (R1). */
  check(address: string): void {
    if (/^https?:/i.test(address)) this.#webhookOf(address);
    else this.#subjectOf(address);
  }

  /** Tells an address, under an id that is the same each time. Rejects with why it was not told. */
  async send(address: string, id: string, body: string): Promise<Told> {
    if (!/^https?:/i.test(address)) {
      const { name, publish } = this.#subjectOf(address);
      await publish(name, Buffer.from(body));
      return 'told';
    }
    const { url, options } = this.#webhookOf(address);
    const atMs = (this.#ways.wallMs ?? Date.now)();
    const status = await sendWebhook({ url, id, body, atMs }, options);
    if (status >= 200 && status < 300) return 'told';
    if (status === 410) return 'unwanted';
    throw new Error(`it answered ${status}`);
  }

  #webhookOf(address: string): { url: URL; options: WebhookOptions } {
    const { webhooks } = this.#ways;
    if (!URL.canParse(address)) refuse('is no valid address');
    const url = new URL(address);
    if (url.username !== '' || url.password !== '') refuse('carries a user or a password; leave it out');
    if (!webhooks)
      refuse('is a webhook, and this master has no secret to sign one: start it with --webhook-secret-file');
    const ip = ipOf(url);
    const { hostname } = url;
    const isNear = ip === undefined ? /(^|\.)localhost\.?$/.test(hostname) : !isPublicAddress(ip);
    if (isNear && !webhooks.allow.has(targetOf(url)))
      refuse(`is a private webhook address, ${hostname}: --webhook-allow ${targetOf(url)} would allow it`);
    return { url, options: webhooks };
  }

  #subjectOf(address: string): { name: string; publish: (id: string, body: Uint8Array) => Promise<void> } {
    const { nats } = this.#ways;
    if (!nats) refuse('must be a webhook, http:// or https:// (subjects are told where the link is NATS)');
    const head = `${nats.prefix}.reply.`;
    const name = address.slice(head.length);
    if (!address.startsWith(head) || !isId(name))
      refuse(
        `must be a webhook, http:// or https://, or a subject ${head}<id> with an id of A-Z a-z 0-9 _ -`,
      );
    return { name, publish: nats.publish };
  }
}

function refuse(why: string): never {
  throw new GimmeError('bad_reply_to', `field replyTo ${why}`);
}
