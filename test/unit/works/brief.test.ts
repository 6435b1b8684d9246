import assert from 'node:assert/strict';
import test from 'node:test';
import { GimmeError } from '../../../shared/core/errors.ts';
import { PermanentError } from '../../../shared/core/work.ts';
import { checkBrief } from '../../../works/newsletter/brief.ts';
import { mailOf, read } from '../../tools/mail.ts';

const BRIEF = {
  from: 'News <news@example.com>',
  subject: 'Hello {{ name }}',
  html: '<p>Hello {{ name }}</p>',
};
const htmlOf = (html: string, recipient: object): string =>
  checkBrief({ ...BRIEF, html }).html.render(recipient);

function refused(brief: unknown, message: RegExp): void {
  assert.throws(
    () => checkBrief(brief),
    (error) => error instanceof GimmeError && error.code === 'bad_brief' && message.test(error.message),
    String(message),
  );
}

test('a brief needs from, subject and html, as texts', () => {
  for (const field of ['from', 'subject', 'html']) {
    refused({ ...BRIEF, [field]: undefined }, new RegExp(`lacks the field ${field}$`));
    refused({ ...BRIEF, [field]: 7 }, new RegExp(`needs a text in the field ${field}$`));
    refused({ ...BRIEF, [field]: '  ' }, new RegExp(`has an empty field ${field}$`));
  }
  for (const brief of [null, [], 'text', 7]) refused(brief, /must be a JSON object/);
});

test('an unknown field is refused by name', () => {
  refused({ ...BRIEF, htlm: 'x' }, /unknown field "htlm"; it may have from, subject, html/);
});

test('from and replyTo are one mailbox with a domain', () => {
  assert.deepEqual(checkBrief(BRIEF).from, { name: 'News', address: 'news@example.com' });
  assert.equal(checkBrief(BRIEF).domain, 'example.com');
  assert.equal(
    checkBrief({ ...BRIEF, from: '"News, weekly" <n@münchen.example>' }).domain,
    'xn--mnchen-3ya.example',
  );
  assert.deepEqual(checkBrief({ ...BRIEF, replyTo: 'ed@example.com' }).replyTo, {
    name: '',
    address: 'ed@example.com',
  });
  for (const field of ['from', 'replyTo']) {
    refused({ ...BRIEF, [field]: 'news' }, new RegExp(`field ${field}: "news" has no @`));
    refused({ ...BRIEF, [field]: 'a@example.com, b@example.com' }, /must be one mailbox/);
    refused({ ...BRIEF, [field]: 'group: a@example.com;' }, /must be one mailbox/);
    refused({ ...BRIEF, [field]: 'News <news@example.com>\r\nBcc: all@example.com' }, /line break/);
    refused({ ...BRIEF, [field]: 'News <news@>' }, new RegExp(`field ${field}`));
  }
});

test('a template that does not parse is refused with field, line and column', () => {
  refused({ ...BRIEF, html: '<p>\n  {% if name %}\n</p>' }, /field html, line 2, column 3: .*if/);
  refused(
    { ...BRIEF, subject: 'Hi {{ name | shout }}' },
    /field subject, line 1, column \d+: undefined filter: shout/,
  );
  refused(
    { ...BRIEF, text: 'a\n\n{% nonsense %}' },
    /field text, line 3, column 1: tag "nonsense" not found/,
  );
  refused({ ...BRIEF, headers: { 'X-Id': '{{' } }, /field headers\.X-Id, line 1, column 1/);
  refused({ ...BRIEF, html: 'x'.repeat(2_000_001) }, /field html.*parse length/);
});

test('a template cannot name another one', () => {
  for (const tag of ["include 'x'", "render '/etc/passwd'", "layout 'x'", 'block x']) {
    refused({ ...BRIEF, html: `a\n{% ${tag} %}` }, /field html, line 2, column 1: tag .* not found/);
  }
});

test('headers that address, identify or structure the mail cannot be given', () => {
  for (const name of [
    'From',
    'to',
    'CC',
    'Bcc',
    'Subject',
    'Message-ID',
    'Date',
    'Content-Type',
    'content-foo',
  ]) {
    refused({ ...BRIEF, headers: { [name]: 'x' } }, /is set by the mail itself/);
  }
  for (const name of ['DKIM-Signature', 'Sender', 'Resent-To', 'MIME-Version', 'Received', 'ARC-Seal']) {
    refused({ ...BRIEF, headers: { [name]: 'x' } }, /is set by the mail itself/);
  }
  refused({ ...BRIEF, headers: { 'Reply-To': 'x' } }, /goes into the field replyTo/);
  refused({ ...BRIEF, headers: { 'X: y\r\nBcc': 'x' } }, /is not a header name/);
  refused({ ...BRIEF, headers: { 'X-A': 'x', 'x-a': 'y' } }, /given twice/);
  refused({ ...BRIEF, headers: { 'X-A': 7 } }, /headers\.X-A needs a text/);
  refused({ ...BRIEF, headers: ['x'] }, /needs an object of texts/);
});

test('in html values are escaped unless the template says raw; subject and text are plain', async () => {
  const name = '<b>"O\'Brien" & Co</b>';
  const mail = await read(mailOf({ html: '{{ name }}|{{ name | raw }}', text: '{{ name }}' }, { name }));
  assert.equal(mail.html, `&lt;b&gt;&#34;O&#39;Brien&#34; &amp; Co&lt;/b&gt;|${name}`);
  assert.equal(mail.text, name);
  assert.equal(mail.subject, `Hello ${name}`);
});

test('values that are no texts are written as Liquid writes them', async () => {
  const row = { n: 7, yes: true, none: null, list: [1, 'b'], deep: { a: 1 } };
  const source = '{{ n }}|{{ yes }}|{{ none }}|{{ list }}|{{ deep }}|{{ n | plus: 1 }}';
  const mail = await read(mailOf({ html: 'x', text: source }, row));
  assert.equal(mail.text, '7|true||1b|[object Object]|8');
});

test('a field that is missing renders as nothing', () => {
  assert.equal(htmlOf('[{{ no.such.thing }}]{% if nothing %}x{% endif %}', {}), '[]');
});

test('a template sees the recipient’s own fields only', () => {
  const html = '{{ constructor }}{{ __proto__ }}{{ toString }}{{ name.constructor }}';
  assert.equal(htmlOf(html, { name: 'Ann' }), '');
});

test('nothing a recipient brings breaks out of a subject or header', async () => {
  const name = 'Ann\r\nBcc: all@example.com\n\nBody\u2028x\u0000y';
  const headers = { 'X-Name': '{{ name }}', 'X-Empty': '{{ none }}' };
  const mail = await read(mailOf({ headers }, { name }));
  assert.equal(mail.subject, 'Hello Ann Bcc: all@example.com Body x y');
  assert.equal(mail.headers.get('x-name'), 'Ann Bcc: all@example.com Body x y');
  assert.ok(!mail.headers.has('x-empty') && !mail.headers.has('bcc'));
  assert.ok(!Array.isArray(mail.to));
  assert.deepEqual(mail.to?.value, [
    { name: 'Ann Bcc: all@example.com Body x y', address: 'ann@example.com' },
  ]);
});

test('a template that fails on one recipient’s data fails that unit for good, with line and column', () => {
  const html = '<p>\n{% for i in (1..n) %}{% for j in (1..n) %}{{ i }}{% endfor %}{% endfor %}';
  const failed = (recipient: object, message: RegExp) =>
    assert.throws(
      () => mailOf({ html }, recipient),
      (error) => error instanceof PermanentError && message.test(error.message),
    );
  failed({ n: 100_000_000 }, /^template html, line 2, column \d+: memory alloc limit exceeded/);
  failed({ n: 4_000 }, /^template html, line 2, column \d+: (template render limit|renders to more than)/);
  assert.equal(htmlOf(html, { n: 2 }), '<p>\n1122');
});

test('a header word that fits on no line fails the unit for good', async () => {
  assert.throws(() => mailOf({}, { name: 'x'.repeat(901) }), PermanentError);
  assert.throws(() => mailOf({ headers: { 'X-Long': 'x'.repeat(901) } }), PermanentError);
  const { subject } = await read(mailOf({}, { name: 'x '.repeat(900) }));
  assert.equal(subject?.length, 5 + 1 + 1_799);
});

test('without a text template the text part is made from the rendered html', async () => {
  const html =
    '<style>p{}</style><h1>Hi {{ name }}</h1><p><a href="https://example.com/x">This</a></p><img src="x">';
  const mail = await read(mailOf({ html }, { name: 'A & B' }));
  assert.equal(mail.text, 'HI A & B\n\nThis [https://example.com/x]');
});
