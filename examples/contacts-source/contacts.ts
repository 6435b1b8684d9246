/** The source: the contacts of a list, page by page. What a worker that reads is given; it sends no mail. */
import { appendFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { defineSource } from '../../client/index.ts';
import { Contacts } from './database.ts';

export type Recipient = { email: string; name: string };

const PAGE_ROWS = 100;
/** A database in another place takes its time. */
const PAGE_MS = 10;

let database: Contacts | undefined;

/** The cursor is the id of a contact: where to go on, whatever is added to the table meanwhile. */
export const contacts = defineSource<Recipient, number, { list: string }>('contacts', {
  async *read(after = 0, { args, signal }) {
    database ??= new Contacts(process.env['CONTACTS_DB'] ?? '');
    for (let id = after; ; ) {
      const page = database.after(args.list, id, PAGE_ROWS);
      await pause(PAGE_MS, undefined, { signal });
      note(id, page.length);
      for (const { id: cursor, email, name } of page) yield { unit: { email, name }, cursor };
      if (page.length < PAGE_ROWS) return;
      id = page.at(-1)?.id ?? id;
    }
  },
});

/** One line for each page, so that the example can count them. */
function note(after: number, rows: number): void {
  const log = process.env['CONTACTS_LOG'];
  if (log !== undefined) appendFileSync(log, `${JSON.stringify({ after, rows })}\n`);
}
