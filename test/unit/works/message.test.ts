import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { type ParsedMail, simpleParser } from 'mailparser';
import MailComposer from 'nodemailer/lib/mail-composer';
import { type CompiledBrief, checkBrief } from '../../../works/newsletter/brief.ts';
import { headerLine, mailboxLine, messageOf } from '../../../works/newsletter/message.ts';
import { type Recipient, recipientSchema } from '../../../works/newsletter/recipient.ts';
import { render } from '../../../works/newsletter/render.ts';
import { oneLine, skeletonOf } from '../../../works/newsletter/skeleton.ts';
import { mailOf, read } from '../../tools/mail.ts';

const SEED = 7;
const AT = new Date('2026-03-01T09:00:00Z');

/** What a list of recipients may hold in a field. */
const AWKWARD = [
  '', 'Ann', 'Zoë O’Brien', '小明', 'Анна Иванова', 'محمد بن علي', '\u202eevil\u202c', '👩‍👩‍👧 family', 'e\u0301',
  '"quoted"', "O'Brien", 'Müller, Jr.', '<b>bold</b>', 'back\\slash', '=3D', '=?utf-8?Q?=41?=', '--=_gimmework',
  '--=_gimmework--', '.', '..', '\n.\r\n', '\r\n.\r\n', 'a\r\nBcc: all@example.com', '\r\n\r\n<html>', 'x\u2028y',
  '\u0000\u0007', '\t', ' ', '   trailing  ', 'From me', 'w'.repeat(120), '本'.repeat(300), '👍'.repeat(90),
  'a '.repeat(300), 'x'.repeat(440), '\ud83d', 'nbsp\u00a0here', 'soft\u00adhyphen', '\r', '\n', 'end\r', '100%', 'a=b',
] as const; // biome-ignore format: a list
const ADDRESSES = [
  'ann@example.com', 'ann+news@example.com', "o'brien@example.com", 'a.b-c_d@sub.example.com', 'x@münchen.example',
  'x@日本語.example', '!#$%&*/=?^`{|}~@example.com', ' spaced@example.com ', `${'l'.repeat(64)}@example.com`,
  `a@${'d'.repeat(60)}.${'e'.repeat(60)}.example`,
] as const; // biome-ignore format: a list

const HEADERS = {
  'List-Id': 'The letters <letters.example.com>',
  'List-Unsubscribe':
    '<https://example.com/u?r={{ email | url_encode }}>, <mailto:out@example.com?subject={{ email }}>',
  'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click',
  'X-Name': '{{ name }}',
};
const LONG_LINE = `<p style="color:#123456">${'a word and another, '.repeat(80)}</p>`;
const BRIEFS: Record<string, object> = {
  'mostly ASCII': {
    html: `<html>\n.dot {{ name }}\r\n..{{ note }}\n{{ name | raw }}{{ note | raw }}\n${LONG_LINE}{{ name }}${LONG_LINE}\n </html> \n`,
    text: '{{ note }}\n.{{ name }}.\n\n{{ name }}{{ note }}{{ name }}  \n{% if name %}Grüße{% endif %}\t\n',
  },
  'mostly not ASCII': {
    html: '<p>{{ name }}さん、こんにちは。\n{{ note | raw }}\r\n秋の手紙です。</p>\n',
    text: 'こんにちは、{{ name }}さん。\n.{{ note }}\n秋の手紙です。',
  },
  'without a text': {
    html: '<h1>Hi {{ name }}</h1><p>{{ note }}</p><a href="https://example.com/x">This</a>',
  },
};

function recipients(count: number): Recipient[] {
  const piece = fc.constantFrom(...AWKWARD);
  const row = fc.record({
    email: fc.constantFrom(...ADDRESSES),
    name: fc.array(piece, { maxLength: 2 }).map((pieces) => pieces.join('')),
    note: fc
      .array(fc.oneof(piece, fc.string({ unit: 'grapheme' })), { maxLength: 4 })
      .map((it) => it.join('')),
  });
  return fc.sample(row, { numRuns: count, seed: SEED }).map((it) => {
    const checked = recipientSchema['~standard'].validate(it);
    assert.ok(!(checked instanceof Promise) && !checked.issues, JSON.stringify(it));
    return checked.value;
  });
}

/** The same mail by nodemailer's own composer, which takes it in plain. */
function composed(brief: CompiledBrief, recipient: Recipient, text: string | undefined): Promise<Buffer> {
  const name = typeof recipient['name'] === 'string' ? recipient['name'] : '';
  const shown = [...name.replace(/[\p{Cc}\p{Zl}\p{Zp}\s]+/gu, ' ').trim()].join('');
  const headers = brief.headers.map(({ name: key, value }) => ({
    key,
    value: oneLine(value.render(recipient)),
  }));
  return new MailComposer({
    from: brief.from,
    to: {
      name: shown.length <= 120 ? shown : [...shown].slice(0, 120).join('').trim(),
      address: recipient.email,
    },
    ...(brief.replyTo && { replyTo: brief.replyTo }),
    subject: oneLine(brief.subject.render(recipient)),
    html: withCrlf(brief.html.render(recipient)),
    text: withCrlf(text ?? ''),
    headers,
    messageId: '<epic.7@example.com>',
    date: AT,
    newline: 'windows',
  })
    .compile()
    .build();
}

/** A CR by itself is a line break too, which nodemailer’s composer leaves to its last stream. */
function withCrlf(text: string): string {
  return text.replace(/\r?\n|\r/g, '\r\n');
}

/** What a mail program shows of a mail; a line break is one, however it was written. */
function shown(mail: ParsedMail): object {
  const { 'content-type': type, ...headers } = Object.fromEntries(mail.headers) as Record<string, object>;
  const unbroken = (it: string | false | undefined): string =>
    (it || '').replace(/\r?\n|\r/g, '\n').replace(/\n+$/, '');
  return {
    headers,
    type: type && 'value' in type && type.value,
    text: unbroken(mail.text),
    html: unbroken(mail.html),
    attachments: mail.attachments.length,
  };
}

function assertWire(message: string): void {
  assert.ok(message.endsWith('\r\n'));
  for (const line of message.split('\r\n')) {
    assert.ok(line.length <= 998, 'a line is at most 998 bytes');
    assert.ok(!/[^\t\x20-\x7e]/.test(line), `every byte is printable ASCII: ${JSON.stringify(line)}`);
  }
  const body = message.slice(message.indexOf('\r\n\r\n') + 4);
  for (const line of body.split('\r\n')) assert.ok(line.length <= 76, `short lines: ${line}`);
}

for (const [kind, own] of Object.entries(BRIEFS)) {
  test(`a mail is what nodemailer’s composer makes of it, for awkward recipients; ${kind}`, async () => {
    const subject = '{{ name }}, five journeys';
    const from = '"The Slow Traveller, weekly" <n@münchen.example>';
    const brief = checkBrief({ from, replyTo: 'ed@example.com', subject, headers: HEADERS, ...own });
    const skeleton = skeletonOf(brief);
    for (const recipient of recipients(340)) {
      const mail = render(recipient, skeleton);
      const message = messageOf(mail, 'epic.7', AT);
      assertWire(message);
      const options = { skipTextToHtml: true, skipTextLinks: true };
      const arrived = await simpleParser(message, options);
      const text = brief.text ? brief.text.render(recipient) : arrived.text;
      const expected = await simpleParser(await composed(brief, recipient, text), options);
      expected.headers.set('message-id', '<epic.7@xn--mnchen-3ya.example>');
      assert.deepEqual(shown(arrived), shown(expected), JSON.stringify(recipient));
      assert.deepEqual([mail.from, mail.to], ['n@xn--mnchen-3ya.example', recipient.email]);
    }
  });
}

test('no header has a line of nothing but spaces, however many a field holds', () => {
  // Servers that cut the spaces at the end of a line would take it for the end of the headers, and the rest for the body.
  for (const name of [`a${' '.repeat(400)}<b>`, `Zoë${' '.repeat(400)}b`, `a${' \t\r\n'.repeat(100)}b`]) {
    const mail = mailOf({ subject: 'To {{ name }}', headers: { 'X-Name': '{{ name }}' } }, { name });
    const [head = ''] = messageOf(mail, 'epic.7', AT).split('\r\n\r\n');
    for (const line of head.split('\r\n')) assert.notEqual(line.trim(), '');
  }
});

test('a header is what nodemailer makes of it', () => {
  const text = fc.oneof(
    fc.string({ unit: 'grapheme' }),
    fc.constantFrom(...AWKWARD),
    fc.lorem({ maxCount: 40 }),
  );
  fc.assert(
    fc.property(fc.array(text, { maxLength: 3 }), (pieces) => {
      const value = oneLine(pieces.join(' '));
      const [line] = new MailComposer({ headers: { 'X-A': value } })
        .compile()
        .buildHeaders()
        .split(/\r\n(?=[A-Z])/);
      assert.equal(headerLine('X-A', value), value === '' ? '' : `${line}\r\n`);
    }),
    { seed: SEED, numRuns: 500 },
  );
});

test('an address is what nodemailer makes of it', () => {
  for (const { email } of recipients(50)) {
    for (const name of AWKWARD.map(oneLine)) {
      const [line] = new MailComposer({ to: { name, address: email } })
        .compile()
        .buildHeaders()
        .split(/\r\n(?=[A-Z])/);
      assert.equal(mailboxLine('To', { name, address: email }), `${line}\r\n`);
    }
  }
});

test('a message has each header once', () => {
  const mail = mailOf({ replyTo: 'ed@example.com', headers: HEADERS }, { name: 'Zoë' });
  const [head = ''] = messageOf(mail, 'epic.7', AT).split('\r\n\r\n');
  const names = head.split(/\r\n(?![ \t])/).map((line) => line.slice(0, line.indexOf(':')));
  assert.deepEqual(
    names.toSorted(),
    [
      'Content-Type',
      'Date',
      'From',
      ...Object.keys(HEADERS),
      'MIME-Version',
      'Message-ID',
      'Reply-To',
      'Subject',
      'To',
    ].toSorted(),
  );
  assert.match(head, /^Date: Sun, 01 Mar 2026 09:00:00 \+0000\r$/m);
  assert.match(head, /^Message-ID: <epic\.7@example\.com>\r$/m);
});

test('whatever the parts hold, they arrive, in ASCII lines that any server takes', async () => {
  const piece = fc.oneof(
    fc.string({ unit: 'grapheme', maxLength: 40 }),
    fc.constantFrom(
      ...AWKWARD,
      '\n',
      '\r\n',
      '\r',
      '.\r\n',
      '\n.\n',
      'x'.repeat(2_000),
      ' \n',
      'a \r',
      '\t\r\n',
    ),
  );
  const pieces = fc.array(piece, { maxLength: 12 });
  const source = pieces.map((it) => it.map((_, i) => `{{ field${i} }}`).join('\n'));
  await fc.assert(
    fc.asyncProperty(pieces, source, async (fields, template) => {
      const row = Object.fromEntries(fields.map((value, i) => [`field${i}`, value]));
      const html = `<i>é</i>{{ field0 | raw }}${template}`;
      const message = messageOf(mailOf({ html, text: html }, row), 'epic.7', AT);
      assertWire(message);
      const { text = '' } = await read(mailOf({ html, text: html }, row));
      const expected =
        checkBrief({ from: 'n@example.com', subject: 's', html, text: html }).text?.render(row) ?? '';
      const plain = (it: string): string => Buffer.from(it.replace(/\r?\n|\r/g, '\n')).toString();
      assert.equal(plain(text), plain(expected));
    }),
    { seed: SEED, numRuns: 300 },
  );
});
