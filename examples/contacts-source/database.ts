/** The database that the recipients are in: who is on which list, and who has left it. Owns the file and its pages. */
import Database from 'better-sqlite3';

export type Contact = { id: number; email: string; name: string };

/** Who is on a list, a page of those behind an id; the index has them in this order already. */
const PAGE = `SELECT id, email, name FROM contacts
  WHERE list = ? AND subscribed = 1 AND id > ? ORDER BY id LIMIT ?`;

/** Makes a database with so many contacts on `list`; among them are as many that left it, or are on another. */
export function makeDatabase(path: string, list: string, count: number): void {
  const db = new Database(path);
  db.exec(`CREATE TABLE contacts (
    id INTEGER PRIMARY KEY, list TEXT NOT NULL, email TEXT NOT NULL, name TEXT NOT NULL, subscribed INTEGER NOT NULL
  ); CREATE INDEX by_list ON contacts (list, subscribed, id)`);
  const insert = db.prepare('INSERT INTO contacts (list, email, name, subscribed) VALUES (?, ?, ?, ?)');
  db.transaction(() => {
    for (let i = 0; i < count; i++) {
      insert.run(list, addressOf(i), `Reader ${i}`, 1);
      if (i % 2 === 0) insert.run(list, `left-${i}@example.org`, 'Gone', 0);
      else insert.run('other', `other-${i}@example.org`, 'Other', 1);
    }
  })();
  db.close();
}

/** The address of the contact of this number that is on the list. */
export function addressOf(number: number): string {
  return `reader-${number}@example.org`;
}

/** A database that is read page by page. */
export class Contacts {
  readonly #page: Database.Statement<[string, number, number], Contact>;

  constructor(path: string) {
    const db = new Database(path, { readonly: true, fileMustExist: true });
    this.#page = db.prepare<[string, number, number], Contact>(PAGE);
  }

  /** Up to `count` of those on the list behind this id. */
  after(list: string, id: number, count: number): Contact[] {
    return this.#page.all(list, id, count);
  }
}
