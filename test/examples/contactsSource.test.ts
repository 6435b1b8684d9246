/** The example contacts-source: the command itself at a smaller size, what it prints, and what its source gives. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { addressOf, Contacts, makeDatabase } from '../../examples/contacts-source/database.ts';
import { Process } from '../processes/process.ts';

const MAIN = fileURLToPath(new URL('../../examples/contacts-source/main.ts', import.meta.url));
const ROOT = fileURLToPath(new URL('../../', import.meta.url));
/** A healthy run needs an eighth of it. */
const TIMEOUT_MS = 200_000;

test('each contact of the list gets one mail, although the worker that reads them and the master are killed', {
  timeout: TIMEOUT_MS,
}, async (t) => {
  const args = ['--contacts', '6000', '--look-ahead', '500'];
  const example = new Process({ name: 'contacts-source', entry: MAIN, args, cwd: ROOT });
  t.after(() => example.signal('SIGTERM'));
  const { code } = await example.ended;
  const text = example.out.join('\n').replaceAll(/(?<=\d),(?=\d{3})/g, '');
  assert.equal(code, 0, example.lastWords());
  assert.match(text, /^kill -9 +reader at \d+, master at \d+, both at \d+ read$/m);
  const [, pages, again] = /^pages +(\d+) read of 100 contacts each, (\d+) contacts again/m.exec(text) ?? [];
  // Those that ended with a read's room were read again from the middle: a cursor is not a page.
  assert.ok(Number(pages) > 60 && Number(again) > 0, text);
  const [, ahead, most] =
    /^ahead +(\d+) units at most, of 500 that there is room for; (\d+) /m.exec(text) ?? [];
  assert.ok(Number(ahead) > 0 && Number(ahead) <= 500 && Number(most) <= 1_000, text);
  assert.match(text, /^mails +0 lost, 0 doubled$/m);
  assert.match(text, /read 6000 = succeeded 6000 \+ failed 0 \+ unknown 0 /);
});

test('a page has those of the list behind an id, in order, and nobody who left it', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'gimmework-contacts-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const path = join(folder, 'contacts.db');
  makeDatabase(path, 'weekly', 25);
  const contacts = new Contacts(path);
  const found: string[] = [];
  let id = 0;
  for (let page = contacts.after('weekly', 0, 10); page.length > 0; page = contacts.after('weekly', id, 10)) {
    for (const contact of page) {
      assert.ok(contact.id > id);
      id = contact.id;
      found.push(contact.email);
    }
  }
  assert.deepEqual(
    found,
    Array.from({ length: 25 }, (_, i) => addressOf(i)),
  );
  assert.deepEqual(contacts.after('nobody', 0, 10), []);
});
