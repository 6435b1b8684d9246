/**
 * A recipient: one row of the list, an address and any further fields for the templates.
 * Owns what makes a row fit to be sent to; a row that does not fit ends as `failed` and never
 * reaches the wire.
 */
import type { StandardSchema } from '../../shared/core/work.ts';
import { checkMailbox, quoted } from './mailbox.ts';

export type Recipient = { email: string; readonly [field: string]: unknown };

/** Longest display name put into a To header, in characters; a longer one is cut. */
const DISPLAY_NAME_CHARS_MAX = 120;

/**
 * Checks a row. Spaces and tabs around the address are trimmed (spreadsheets leave them); inside it
 * nothing is mended. The domain comes out in lower-case ASCII, all other fields as they were.
 */
export const recipientSchema: StandardSchema<Recipient> = {
  '~standard': { version: 1, vendor: 'gimmework', validate: checkRecipient },
};

type Checked = ReturnType<StandardSchema<Recipient>['~standard']['validate']>;

function checkRecipient(value: unknown): Checked {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return { issues: [{ message: 'a recipient must be a record with a field email' }] };
  }
  const row = value as { email?: unknown };
  const email = row.email;
  if (email === undefined) return refuse('missing');
  if (typeof email !== 'string') return refuse('must be a text');
  const trimmed = email.replace(/^[ \t]+|[ \t]+$/g, '');
  if (trimmed === '') return refuse('empty');
  const mailbox = checkMailbox(trimmed);
  if (!mailbox.valid) return refuse(`${quoted(trimmed)} ${mailbox.fault}`);
  if (mailbox.address === email) return { value: row as Recipient };
  return { value: { ...row, email: mailbox.address } };
}

/** The message reads on behind its path, as in `record 17: field email: "a b@example.com" has a space`. */
function refuse(message: string): Checked {
  return { issues: [{ message, path: ['email'] }] };
}

/** The recipient's `name` as a To header may show it: one line, not too long; empty where there is none. */
export function displayName(recipient: Recipient): string {
  const name = recipient['name'];
  if (typeof name !== 'string') return '';
  const line = name.replace(/[\p{Cc}\p{Zl}\p{Zp}\s]+/gu, ' ').trim();
  if (line.length <= DISPLAY_NAME_CHARS_MAX) return line;
  return [...line].slice(0, DISPLAY_NAME_CHARS_MAX).join('').trim();
}
