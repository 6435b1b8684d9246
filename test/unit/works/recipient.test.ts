import assert from 'node:assert/strict';
import test from 'node:test';
import { checkMailbox, quoted } from '../../../works/newsletter/mailbox.ts';
import type { Recipient } from '../../../works/newsletter/recipient.ts';
import { displayName, recipientSchema } from '../../../works/newsletter/recipient.ts';

type Outcome = { value: Recipient; issues?: undefined } | { issues: { message: string; path?: string[] }[] };
const check = (value: unknown) => recipientSchema['~standard'].validate(value) as Outcome;
const fault = (email: unknown): string => {
  const outcome = check({ email });
  assert.ok(outcome.issues, `${JSON.stringify(email)} passed`);
  assert.deepEqual(outcome.issues[0]?.path, ['email']);
  return outcome.issues[0]?.message ?? '';
};
const passed = (email: string): string => {
  const outcome = check({ email });
  assert.ok(!outcome.issues, `${email}: ${outcome.issues?.[0]?.message}`);
  return outcome.value.email;
};

test('one mailbox passes, whatever an address may hold', () => {
  for (const email of [
    'a@example.com',
    "o'malley@example.com",
    'first+tag@example.com',
    "!#$%&'*+/=?^_`{|}~-@example.com",
    `${'l'.repeat(64)}@example.com`,
    `label@${'d'.repeat(63)}.example`,
    'n@1.example',
    'someone@localhost',
  ]) {
    assert.equal(passed(email), email);
  }
});

test('a domain comes out in lower-case ASCII, what is before the @ as it was', () => {
  assert.equal(passed('Upper.Case@EXAMPLE.Com'), 'Upper.Case@example.com');
  assert.equal(passed('kontakt@münchen.example'), 'kontakt@xn--mnchen-3ya.example');
  assert.equal(passed('post@例え.test'), 'post@xn--r8jz45g.test');
  assert.equal(passed('strasse@faß.example'), 'strasse@xn--fa-hia.example');
});

test('spaces and tabs around an address are trimmed, nothing inside it is mended', () => {
  assert.equal(passed(' \tann@example.com  '), 'ann@example.com');
  assert.match(fault('an n@example.com'), /has a space$/);
  assert.match(fault('ann@exam ple.com'), /has a space$/);
  assert.match(fault('ann @example.com'), /has a space$/);
  assert.match(fault('ann@example.com\r\n'), /has a line break$/);
  assert.match(fault('ann@example.com\u00a0'), /has a space$/);
});

test('every kind of bad address is named', () => {
  const cases: [unknown, RegExp][] = [
    [undefined, /^missing$/],
    [17, /^must be a text$/],
    ['', /^empty$/],
    ['   ', /^empty$/],
    ['ann', /^"ann" has no @ and so no domain$/],
    ['ann@', /has no domain$/],
    ['@example.com', /has nothing before the @$/],
    ['a@example.com\r\nBcc: b@example.com', /^"a@example\.com\\r\\nBcc: b@example\.com" has a line break$/],
    ['a\u0000@example.com', /has a control character$/],
    ['a@example.com,b@example.com', /holds more than one address$/],
    ['a@example.com; b@example.com', /holds more than one address$/],
    ['a@example.com b@example.com', /holds more than one address$/],
    ['a@@example.com', /has more than one @$/],
    ['a,b@example.com', /comma or semicolon/],
    ['Ann <ann@example.com>', /angle brackets/],
    ['<ann@example.com>', /angle brackets/],
    ['"a.b"@example.com', /is quoted before the @/],
    ['jürgen@example.com', /not ASCII/],
    ['in\u200bvisible@example.com', /^"in\\u\{200b\}visible@example\.com" has an invisible character$/],
    ['a@exam\u00adple.com', /has an invisible character$/],
    ['.a@example.com', /dot before the @/],
    ['a.@example.com', /dot before the @/],
    ['a..b@example.com', /dot before the @/],
    ['a(b)@example.com', /not allowed there$/],
    [`${'l'.repeat(65)}@example.com`, /more than 64 bytes/],
    [`local@${Array(4).fill('d'.repeat(61)).join('.')}.ex`, /longer than 254 bytes$/],
    [`a@${'d'.repeat(64)}.example`, /domain that is not valid$/],
    ['a@example..com', /domain that is not valid$/],
    ['a@example.com.', /domain that is not valid$/],
    ['a@-example.com', /domain that is not valid$/],
    ['a@exam_ple.com', /domain that is not valid$/],
    ['a@ä/b.com', /domain that is not valid$/],
    ['a@ä:25', /domain that is not valid$/],
    ['a@ä%2eb.com', /domain that is not valid$/],
    ['a@[127.0.0.1]', /address literal/],
    ['a@127.0.0.1', /a number where a domain is needed$/],
  ];
  for (const [email, message] of cases) assert.match(fault(email), message);
});

test('no address that passes can break a line, a path or a list', () => {
  for (const sign of ' \t\r\n\0,;<>()[]:\\"\u00a0\u2028\u200b') {
    assert.equal(checkMailbox(`a${sign}b@example.com`).valid, false, JSON.stringify(sign));
    assert.equal(checkMailbox(`a@exa${sign}mple.com`).valid, false, JSON.stringify(sign));
  }
});

test('a row that is no record is refused, further fields pass untouched', () => {
  for (const row of [null, 'a@example.com', ['a@example.com'], 7]) assert.ok(check(row).issues);
  const row = { email: ' a@example.com', name: ' Ann ', tags: ['x'] };
  const outcome = check(row);
  assert.ok(!outcome.issues);
  assert.deepEqual(outcome.value, { email: 'a@example.com', name: ' Ann ', tags: ['x'] });
  assert.equal(row.email, ' a@example.com', 'the row given is not changed');
});

test('a display name is one line and not too long', () => {
  const name = (value: unknown) => displayName({ email: 'a@example.com', name: value });
  assert.equal(name('Anna\r\nBcc: all@example.com'), 'Anna Bcc: all@example.com');
  assert.equal(name('  Zoë \t O’Brien '), 'Zoë O’Brien');
  assert.equal(name(undefined), '');
  assert.equal(name(12), '');
  assert.equal([...name('👩‍🚀'.repeat(200))].length, 120);
});

test('a quoted address shows what cannot be seen and is cut', () => {
  assert.equal(quoted('a\u202eb'), '"a\\u{202e}b"');
  assert.equal(quoted('x'.repeat(500)).length, 83);
});
