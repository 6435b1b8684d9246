/**
 * The brief of a newsletter: what is the same in every mail of an epic. Owns its fields, their check
 * and their templates; it renders nothing.
 *
 * B1: a brief that passes has one sender with a domain and templates that parse.
 * B2: no header of the brief can stand in for one that addresses, identifies or structures the mail.
 */
import addressparser from 'nodemailer/lib/addressparser';
import { GimmeError } from '../../shared/core/errors.ts';
import { checkMailbox, quoted } from './mailbox.ts';
import type { Mailbox } from './message.ts';
import type { TemplateKind } from './template.ts';
import { Template, TemplateFault } from './template.ts';

export type NewsletterBrief = {
  /** One mailbox: `news@example.com` or `Weekly News <news@example.com>`. */
  from: string;
  /** Liquid; the recipient's fields are its variables. */
  subject: string;
  /** Liquid; values are escaped unless the template says `| raw`. */
  html: string;
  /** Liquid. Defaults to a text made from the rendered html, which costs time for every mail. */
  text?: string;
  /** One mailbox that answers go to. Defaults to `from`. */
  replyTo?: string;
  /** Further headers; each value is Liquid. */
  headers?: Record<string, string>;
};

export type CompiledBrief = {
  readonly from: Mailbox;
  /** Domain of `from`: the right side of every Message-ID. */
  readonly domain: string;
  readonly replyTo: Mailbox | undefined;
  readonly subject: Template;
  readonly html: Template;
  readonly text: Template | undefined;
  readonly headers: readonly { readonly name: string; readonly value: Template }[];
};

const FIELDS = ['from', 'subject', 'html', 'text', 'replyTo', 'headers'];
const HEADERS_MAX = 50;
/** A header name begins a line and holds no colon (RFC 5322 §2.2); here letters, digits and hyphens. */
const HEADER_NAME = /^[A-Za-z0-9][A-Za-z0-9-]{0,75}$/;
const HEADERS_REFUSED = new Set([
  'from',
  'sender',
  'to',
  'cc',
  'bcc',
  'subject',
  'message-id',
  'date',
  'mime-version',
  'return-path',
  'received',
  'dkim-signature',
]);
const HEADER_GROUPS_REFUSED = /^(content|resent|arc)-/;

/** Checks a brief and compiles its templates; throws GimmeError `bad_brief` naming field, line and column. */
export function checkBrief(value: unknown): CompiledBrief {
  if (!isRecord(value)) throw bad('must be a JSON object with from, subject and html');
  for (const field of Object.keys(value)) {
    if (!FIELDS.includes(field))
      throw bad(`has an unknown field ${quoted(field)}; it may have ${FIELDS.join(', ')}`);
  }
  const from = sender('from', needed(value, 'from'));
  return {
    from: { name: from.name, address: from.address },
    domain: from.domain,
    replyTo: value['replyTo'] === undefined ? undefined : replyToFrom(value),
    subject: template('subject', 'text', needed(value, 'subject')),
    html: template('html', 'html', needed(value, 'html')),
    text: value['text'] === undefined ? undefined : template('text', 'text', needed(value, 'text')),
    headers: value['headers'] === undefined ? [] : headersFrom(value['headers']),
  };
}

function bad(what: string, cause?: unknown): GimmeError {
  return new GimmeError('bad_brief', `the brief ${what}`, { cause });
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function needed(brief: Record<string, unknown>, field: string): string {
  const value = brief[field];
  if (value === undefined) throw bad(`lacks the field ${field}`);
  if (typeof value !== 'string') throw bad(`needs a text in the field ${field}`);
  if (value.trim() === '') throw bad(`has an empty field ${field}`);
  return value;
}

function sender(field: string, text: string): Mailbox & { domain: string } {
  if (/\p{Cc}/u.test(text))
    throw bad(`field ${field}: ${quoted(text)} has a line break or control character`);
  const found = addressparser(text);
  const [only] = found;
  if (found.length !== 1 || only === undefined || only.address === undefined) {
    throw bad(
      `field ${field}: ${quoted(text)} must be one mailbox, such as "Weekly News" <news@example.com>`,
    );
  }
  const mailbox = checkMailbox(only.address === '' ? text.trim() : only.address);
  if (!mailbox.valid) throw bad(`field ${field}: ${quoted(only.address || text)} ${mailbox.fault}`);
  return { name: only.name, address: mailbox.address, domain: mailbox.domain };
}

function replyToFrom(brief: Record<string, unknown>): Mailbox {
  const { name, address } = sender('replyTo', needed(brief, 'replyTo'));
  return { name, address };
}

function template(field: string, kind: TemplateKind, source: string): Template {
  try {
    return new Template(kind, source);
  } catch (error) {
    if (error instanceof TemplateFault) throw bad(`field ${field}, ${error.message}`, error);
    throw error;
  }
}

function headersFrom(value: unknown): CompiledBrief['headers'] {
  if (!isRecord(value)) throw bad('needs an object of texts in the field headers');
  const names = Object.keys(value);
  if (names.length > HEADERS_MAX) throw bad(`has more than ${HEADERS_MAX} headers`);
  const seen = new Set<string>();
  return names.map((name) => {
    const lower = name.toLowerCase();
    if (!HEADER_NAME.test(name)) throw bad(`field headers: ${quoted(name)} is not a header name`);
    if (lower === 'reply-to') throw bad('field headers: Reply-To goes into the field replyTo');
    if (HEADERS_REFUSED.has(lower) || HEADER_GROUPS_REFUSED.test(lower)) {
      throw bad(`field headers: ${name} is set by the mail itself and cannot be given here`);
    }
    if (seen.has(lower)) throw bad(`field headers: ${name} is given twice`);
    seen.add(lower);
    const source = value[name];
    if (typeof source !== 'string') throw bad(`field headers.${name} needs a text`);
    return { name, value: template(`headers.${name}`, 'text', source) };
  });
}
