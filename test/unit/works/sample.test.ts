import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { parse } from 'csv-parse/sync';
import { checkBrief } from '../../../works/newsletter/brief.ts';
import { GENERATED_COLUMNS, generateRecipients } from '../../../works/newsletter/generate.ts';
import type { Recipient } from '../../../works/newsletter/recipient.ts';
import { recipientSchema } from '../../../works/newsletter/recipient.ts';
import { render } from '../../../works/newsletter/render.ts';
import { samplePaths } from '../../../works/newsletter/sample.ts';
import { skeletonOf } from '../../../works/newsletter/skeleton.ts';
import { read } from '../../tools/mail.ts';

const paths = samplePaths();
type Checked = { value: Recipient; issues?: undefined } | { issues: readonly { message: string }[] };
const check = (row: unknown) => recipientSchema['~standard'].validate(row) as Checked;

function sampleBrief(): unknown {
  const brief = JSON.parse(readFileSync(paths.brief, 'utf8')) as Record<string, unknown>;
  assert.equal(brief['html'], '@newsletter.html');
  assert.equal(brief['text'], '@newsletter.txt');
  return { ...brief, html: readFileSync(paths.html, 'utf8'), text: readFileSync(paths.text, 'utf8') };
}

test('the sample is a thousand valid recipients, each of which gets a mail', async () => {
  const rows = parse<Record<string, string>>(readFileSync(paths.recipients), { columns: true });
  assert.equal(rows.length, 1_000);
  const addresses = new Set<string>();
  const skeleton = skeletonOf(checkBrief(sampleBrief()));
  for (const row of rows) {
    const checked = check(row);
    assert.ok(!checked.issues, `${row['email']}: ${checked.issues?.[0]?.message}`);
    addresses.add(checked.value.email.toLowerCase());
    assert.match(checked.value.email, /@(.+\.)?(example|test|example\.com)$/, 'only reserved domains');
    const { html, text = '', subject } = await read(render(checked.value, skeleton));
    assert.ok(subject?.endsWith(', five slow journeys for this autumn'), subject);
    assert.ok(typeof html === 'string' && html.length > 4_000 && text.length > 500);
    assert.ok(!html.includes('<script>alert') && !html.includes('<img src=x'), 'names are escaped');
  }
  assert.equal(addresses.size, 1_000, 'no address is there twice');
});

test('the bad sample has one row of each kind; those that parse fail by their address', () => {
  const bytes = readFileSync(paths.badRecipients);
  const lines = bytes.subarray(0, bytes.indexOf('"unclosed@'));
  const rows = parse(lines, { columns: false, relax_column_count: true });
  assert.equal(rows.length, 1 + 27);
  const verdicts = rows.slice(1).map(([email = '', name = '', ...rest]) => {
    if (rest.length !== 1) return 'ragged';
    if (name.includes('\ufffd')) return 'not utf-8';
    const checked = check({ email, name });
    return checked.issues ? (checked.issues[0]?.message ?? '').replace(/^".*" /, '') : 'fine';
  });
  const fine = verdicts.flatMap((verdict, i) => (verdict === 'fine' ? [i + 1] : []));
  assert.deepEqual(fine, [1, 26]);
  const readme = readFileSync(paths.badRecipients.replace('recipients.bad.csv', 'README.md'), 'utf8');
  assert.match(readme, /Record 1 and record 26 are fine/);
  assert.equal(verdicts.filter((verdict) => verdict === 'ragged').length, 2);
  assert.equal(verdicts.filter((verdict) => verdict === 'not utf-8').length, 1);
  assert.ok(new Set(verdicts).size >= 16, `${new Set(verdicts).size} kinds`);
});

async function generated(count: number, seed?: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of generateRecipients(count, seed)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

test('the generator makes as many valid, distinct recipients as asked for', async () => {
  const bytes = await generated(5_000);
  const rows = parse<Record<string, string>>(bytes, { columns: true });
  assert.equal(rows.length, 5_000);
  assert.equal(new Set(rows.map((row) => row['email'])).size, 5_000);
  assert.deepEqual(Object.keys(rows[0] ?? {}), GENERATED_COLUMNS.split(','));
  for (const row of rows) assert.ok(!check(row).issues, row['email']);
  assert.ok(bytes.length / 5_000 > 120 && bytes.length / 5_000 < 180, `${bytes.length / 5_000} bytes a row`);
});

test('the generator gives the same bytes for the same seed, others for another', async () => {
  const hash = async (seed: number) =>
    createHash('sha256')
      .update(await generated(500, seed))
      .digest('hex');
  assert.equal(await hash(7), await hash(7));
  assert.notEqual(await hash(7), await hash(8));
  assert.equal((await generated(0)).toString(), `${GENERATED_COLUMNS}\n`);
  await assert.rejects(generated(-1), RangeError);
});
