import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { composeMessage } from '../../../works/newsletter/message.ts';
import type { Mail } from '../../../works/newsletter/render.ts';

const MAIL: Mail = {
  from: { name: 'The News', address: 'news@example.com' },
  domain: 'example.com',
  to: { name: "Zoë O'Brien, Jr.", address: 'zoe@example.com' },
  replyTo: { name: '', address: 'editors@example.com' },
  subject: 'Grüße, Zoë',
  html: '<p>Hello</p>',
  text: 'Hello',
  headers: { 'List-Unsubscribe': '<https://example.com/u?r=zoe%40example.com>' },
};
const compose = (change: Partial<Mail> = {}) =>
  composeMessage({ ...MAIL, ...change }, '<epic.7@example.com>').toString('latin1');

/** Header lines unfolded, and the two parts decoded. */
function parse(message: string): { head: Map<string, string>; text: string; html: string } {
  const [top = '', ...rest] = message.split('\r\n--=_gimmework');
  assert.equal(rest.at(-1), '--\r\n', 'the closing boundary ends the message');
  assert.equal(rest.length, 3);
  const head = new Map<string, string>();
  for (const line of top
    .trimEnd()
    .replace(/\r\n[ \t]+/g, ' ')
    .split('\r\n')) {
    const colon = line.indexOf(': ');
    assert.ok(!head.has(line.slice(0, colon)), `${line} is there once`);
    head.set(line.slice(0, colon), line.slice(colon + 2));
  }
  return { head, text: decode(rest[0], 'text/plain'), html: decode(rest[1], 'text/html') };
}

function decode(part: string | undefined, type: string): string {
  const [, head = '', body = ''] = /^\r\n(.*?)\r\n\r\n(.*)$/s.exec(part ?? '') ?? [];
  assert.ok(head.startsWith(`Content-Type: ${type}; charset=utf-8\r\n`), head);
  const encoding = /Content-Transfer-Encoding: (\S+)$/.exec(head)?.[1];
  if (encoding === 'base64') return Buffer.from(body, 'base64').toString();
  if (encoding === '7bit') return body;
  assert.equal(encoding, 'quoted-printable');
  const bytes = body
    .replace(/=\r\n/g, '')
    .replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(bytes, 'latin1').toString();
}

test('a message has each header once, encoded', () => {
  const { head, text, html } = parse(compose());
  assert.equal(head.get('From'), 'The News <news@example.com>');
  assert.match(head.get('To') ?? '', /^=\?UTF-8\?Q\?Zo=C3=AB_O=27Brien=2C_Jr=2E\?= <zoe@example\.com>$/);
  assert.equal(head.get('Reply-To'), 'editors@example.com');
  assert.match(head.get('Subject') ?? '', /^=\?UTF-8\?/);
  assert.equal(head.get('Message-ID'), '<epic.7@example.com>');
  assert.equal(head.get('MIME-Version'), '1.0');
  assert.ok(!Number.isNaN(Date.parse(head.get('Date') ?? '')));
  assert.equal(head.get('List-Unsubscribe'), '<https://example.com/u?r=zoe%40example.com>');
  assert.match(head.get('Content-Type') ?? '', /^multipart\/alternative; boundary="=_gimmework"$/);
  assert.deepEqual([text, html], ['Hello', '<p>Hello</p>']);
});

test('a line break in a subject or header stays inside it', () => {
  const { head } = parse(compose({ subject: 'a\r\nBcc: b@example.com', headers: { 'X-A': 'a\r\n\r\nb' } }));
  assert.equal(head.has('Bcc'), false);
  assert.equal(head.get('X-A'), 'a  b');
});

test('whatever the parts hold, they arrive, in ASCII lines that any server takes', () => {
  const piece = fc.oneof(
    fc.string({ unit: 'grapheme', maxLength: 40 }),
    fc.constantFrom(
      '\n',
      '\r\n',
      '\r',
      '.\r\n',
      '\n.\n',
      '--=_gimmework',
      '--=_gimmework--\r\n',
      'x'.repeat(2_000),
      '日本語',
      '=3D',
      ' \n',
      'From x',
    ),
  );
  const content = fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join(''));
  fc.assert(
    fc.property(content, content, (text, html) => {
      const message = compose({ text, html });
      assert.ok(message.endsWith('\r\n'));
      for (const line of message.split('\r\n')) {
        assert.ok(line.length <= 998, 'a line is at most 998 bytes');
        assert.ok(!/[\r\n]/.test(line), 'CR and LF come in pairs');
        assert.ok(!/[^\t\x20-\x7e]/.test(line), 'every byte is printable ASCII');
      }
      const arrived = parse(message);
      const wellFormed = (value: string) => Buffer.from(value.replace(/\r?\n|\r/g, '\r\n')).toString();
      assert.equal(arrived.text, wellFormed(text));
      assert.equal(arrived.html, wellFormed(html));
    }),
    { numRuns: 300 },
  );
});
