import assert from 'node:assert/strict';
import { createHash, createPublicKey, generateKeyPairSync, type KeyObject, verify } from 'node:crypto';
import test from 'node:test';
import { GimmeError } from '../../../shared/core/errors.ts';
import { dkimSigner } from '../../../works/newsletter/dkim.ts';
import { messageOf } from '../../../works/newsletter/message.ts';
import { mailOf } from '../../tools/mail.ts';

const pair = generateKeyPairSync('rsa', { modulusLength: 2_048 });
const PEM = pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
const OPTIONS = { domain: 'Example.com', selector: 'autumn.2026', key: PEM };
const LIST = {
  'List-Id': 'The letters <letters.example.com>',
  'List-Unsubscribe': '<https://example.com/u?r={{ email | url_encode }}>',
  'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click',
};
const sign = dkimSigner(OPTIONS);

async function signedMail(brief: object = {}, recipient: object = {}): Promise<string> {
  const message = messageOf(mailOf(brief, recipient), 'epic.7', new Date());
  return (await sign(message)) + message;
}

type Verdict = { tags: Map<string, string>; names: string[]; body: boolean; signature: boolean };

/** Verifies the first signature of a message as RFC 6376 §6.1 has a receiver do it. */
function verified(message: string, key: KeyObject): Verdict {
  const [head = '', ...rest] = message.split('\r\n\r\n');
  const fields = head.match(/[^\r\n].*(?:\r\n[ \t].*)*/g) ?? [];
  const at = fields.findIndex((field) => /^dkim-signature:/i.test(field));
  const [own = ''] = fields.splice(at, 1);
  const value = own.slice(own.indexOf(':') + 1);
  const tags = new Map(
    value
      .replace(/\r\n/g, '')
      .split(';')
      .map((tag) => [
        tag.slice(0, tag.indexOf('=')).trim(),
        tag.slice(tag.indexOf('=') + 1).replace(/\s+/g, ''),
      ]),
  );
  const lines = rest
    .join('\r\n\r\n')
    .split('\r\n')
    .map((line) => line.replace(/[ \t]+$/, '').replace(/[ \t]+/g, ' '));
  while (lines.at(-1) === '') lines.pop();
  const bodyHash = createHash('sha256')
    .update(`${lines.join('\r\n')}\r\n`, 'latin1')
    .digest('base64');
  const names = (tags.get('h') ?? '').split(':');
  const left = [...fields];
  const data = names.map((name) => {
    const index = left.findLastIndex(
      (field) => field.slice(0, field.indexOf(':')).trim().toLowerCase() === name,
    );
    const [field] = index < 0 ? [] : left.splice(index, 1);
    return field === undefined ? '' : `${canonical(field)}\r\n`;
  });
  data.push(canonical(own.replace(/(;\s*b=)[\s\S]*$/, '$1')));
  const signature = Buffer.from(tags.get('b') ?? '', 'base64');
  return {
    tags,
    names,
    body: tags.get('bh') === bodyHash,
    signature: verify('sha256', Buffer.from(data.join(''), 'latin1'), key, signature),
  };
}

function canonical(field: string): string {
  const colon = field.indexOf(':');
  const value = field
    .slice(colon + 1)
    .replace(/\r\n/g, '')
    .replace(/[ \t]+/g, ' ');
  return `${field.slice(0, colon).trim().toLowerCase()}:${value.replace(/^ | $/g, '')}`;
}

test('a signed mail verifies, whatever it holds', async () => {
  const awkward = [
    'Zoë  Müller',
    '小明'.repeat(40),
    'a\t b ',
    '.',
    'x'.repeat(850),
    '"q" \\',
    'a\r\n.\r\nb  \r\n',
  ];
  for (const name of awkward) {
    const html = '<p>\t{{ name }}   \n\n  {{ name }} \t</p>\n\n\n';
    const message = await signedMail({ html, text: '{{ name }}\n\n', headers: LIST }, { name });
    const verdict = verified(message, pair.publicKey);
    assert.deepEqual([verdict.body, verdict.signature], [true, true], JSON.stringify(name));
    for (const line of message.split('\r\n')) assert.ok(line.length <= 998 && !/[^\t -~]/.test(line), line);
  }
});

test('the signature is of the domain, by the selector, and covers every header, From against a second one', async () => {
  const message = await signedMail({ headers: LIST, replyTo: 'ed@example.com' });
  const { tags, names } = verified(message, pair.publicKey);
  const shown = ['v', 'a', 'c', 'd', 's'].map((tag) => tags.get(tag));
  assert.deepEqual(shown, ['1', 'rsa-sha256', 'relaxed/relaxed', 'example.com', 'autumn.2026']);
  const head = ['date', 'message-id', 'to', 'subject', 'from', 'reply-to', 'mime-version', 'content-type'];
  const list = ['list-id', 'list-unsubscribe', 'list-unsubscribe-post'];
  assert.deepEqual(names.toSorted(), [...head, ...list, 'from'].toSorted());
  const forged = message.replace('\r\nFrom:', '\r\nFrom: ceo@example.com\r\nFrom:');
  assert.equal(verified(forged, pair.publicKey).signature, false);
});

test('a changed header or body does not verify', async () => {
  const message = await signedMail({ headers: LIST, text: 'Pay 10' });
  const other = generateKeyPairSync('rsa', { modulusLength: 2_048 }).publicKey;
  assert.equal(verified(message, other).signature, false);
  assert.equal(verified(message.replace('One-Click', 'Two-Click'), pair.publicKey).signature, false);
  assert.equal(verified(message.replace('Pay 10', 'Pay 99'), pair.publicKey).body, false);
  const spaced = message.replace('Pay 10', 'Pay  10 ');
  assert.equal(verified(spaced, createPublicKey(PEM)).body, true, 'relaxed: spaces may change on the way');
});

test('a key, domain or selector that cannot sign is refused with the cure', () => {
  const refused = (change: Partial<typeof OPTIONS>, pattern: RegExp): void =>
    assert.throws(
      () => dkimSigner({ ...OPTIONS, ...change }),
      (error) => error instanceof GimmeError && error.code === 'bad_config' && pattern.test(error.message),
      String(pattern),
    );
  const pem = (key: KeyObject): string => key.export({ type: 'pkcs8', format: 'pem' }).toString();
  const cure = 'make one: openssl genrsa -out dkim\\.pem 2048$';
  const ed25519 = generateKeyPairSync('ed25519').privateKey;
  refused({ key: pem(ed25519) }, new RegExp(`is ed25519; many receivers verify RSA only, so ${cure}`));
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  refused({ key: pem(ec) }, new RegExp(`is ec; .*${cure}`));
  const weak = generateKeyPairSync('rsa', { modulusLength: 512 }).privateKey;
  refused({ key: pem(weak) }, new RegExp(`has 512 bits; receivers refuse less than 1024, so ${cure}`));
  refused({ key: 'nonsense' }, new RegExp(`is not a private key in PEM.*; ${cure}`));
  refused({ key: pair.publicKey.export({ type: 'spki', format: 'pem' }).toString() }, /not a private key/);
  const locked = pair.privateKey.export({
    type: 'pkcs8',
    format: 'pem',
    cipher: 'aes-256-cbc',
    passphrase: 'x',
  });
  refused({ key: locked.toString() }, /without a password/);
  refused({ domain: 'exa mple.com' }, /--dkim-domain\) "exa mple\.com" is not valid/);
  refused({ domain: 'example.com; s=evil' }, /--dkim-domain/);
  refused({ selector: 'a; d=evil.example' }, /--dkim-selector/);
  refused({ selector: '' }, /--dkim-selector/);
});
