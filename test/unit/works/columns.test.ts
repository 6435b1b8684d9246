/** A list that cannot be a list of recipients is known by its header; anything doubtful is left to the master. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withCheckedHead } from '../../../cli/sourceHead.ts';
import { stdin } from '../../../client/index.ts';
import { GimmeError } from '../../../shared/core/errors.ts';
import { checkColumns } from '../../../works/newsletter/main.ts';

const check = (text: string | Buffer): void => checkColumns(Buffer.from(text), 'r.csv');

test('a header with email is taken, whatever its delimiter, quotes and order', () => {
  for (const header of ['email', 'name,email', '\ufeffemail;name', '"email"\tname', '\r\n name | email ,x'])
    check(`${header}\na,b\n`);
});

test('a header without email is refused, naming what is there', () => {
  const refused = (text: string, found: string): void => {
    const message = `r.csv has no column email, which the newsletter needs; its columns are ${found}`;
    assert.throws(
      () => check(text),
      (error) => error instanceof GimmeError && error.message === message,
    );
  };
  refused('name,e-mail\n', 'name, e-mail');
  refused('Email', 'Email');
  refused(
    `${Array.from({ length: 12 }, (_, i) => `c${i}`).join(';')}\n`,
    'c0, c1, c2, c3, c4, c5, c6, c7, c8, c9 and 2 more',
  );
});

test('what cannot be read as a header is left to the master', () => {
  for (const odd of ['', '\n\n', '"open,name\n', Buffer.from([0xff, 0xfe, 0x0a])]) check(odd);
});

test('what was looked at is sent like the rest, and a refused source is closed', async () => {
  let isClosed = false;
  async function* chunks(): AsyncGenerator<Uint8Array> {
    try {
      for (const text of ['\n', 'ema', 'il\na@b', '.example\n']) yield Buffer.from(text);
    } finally {
      isClosed = true;
    }
  }
  const seen: string[] = [];
  const source = withCheckedHead(stdin('csv', chunks()), (head) => seen.push(Buffer.from(head).toString()));
  let sent = '';
  for await (const chunk of await source.open()) sent += Buffer.from(chunk).toString();
  assert.deepEqual([seen, sent, isClosed], [['\nemail\na@b'], '\nemail\na@b.example\n', true]);
  isClosed = false;
  const refusing = withCheckedHead(stdin('csv', chunks()), () => {
    throw new GimmeError('bad_source', 'no');
  });
  await assert.rejects(refusing.open(), { message: 'no' });
  assert.equal(isClosed, true);
});
