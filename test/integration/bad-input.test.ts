/**
 * Bad input as a person meets it, through the real command: bad rows fail by their record number and the
 * rest is delivered; what cannot be taken at all is refused in one line with the documented exit code.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { samplePaths } from '../../works/newsletter/main.ts';
import { assertTotals, type Finished, withCluster } from '../processes/cluster.ts';
import { lastingPort } from '../processes/port.ts';

const BAD_ROWS = 26;
const FINE = ['fine.first@example.com', 'fine.middle@example.com'];

test(
  'each kind of bad row fails by its record number, and the rows between them are delivered',
  withCluster(async (c) => {
    const [, stub] = await Promise.all([c.masterWith({}), c.stub()]);
    c.worker(stub);
    const { badRecipients, brief } = samplePaths();
    const files = ['--source', badRecipients, '--brief', brief];
    const submitted = await c.run('epic', 'submit', 'newsletter', ...files, '--watch', '-o', 'json');
    assert.equal(submitted.code, 6, submitted.err);
    const { id } = JSON.parse(submitted.out) as { id: string };
    const over = await c.status(id);
    assertTotals(over, { read: BAD_ROWS + FINE.length, succeeded: FINE.length, failed: BAD_ROWS });

    const failed = c.journal.of('settled').flatMap((record) => record.failed ?? []);
    assert.equal(failed.length, BAD_ROWS);
    for (const { unit, code, message } of failed) {
      assert.match(code, /^(invalid_unit|invalid_recipient|unclosed_quote)$/);
      assert.match(message, new RegExp(`\\brecord ${unit + 1}\\b`));
      assert.ok(!message.includes('\n'));
    }
    const records = failed.map(({ unit }) => unit + 1).sort((a, b) => a - b);
    const fine = [1, 26];
    const all = Array.from({ length: BAD_ROWS + FINE.length }, (_, i) => i + 1);
    assert.deepEqual(
      records,
      all.filter((record) => !fine.includes(record)),
    );
    const mails = await stub.close();
    assert.deepEqual(mails.all.map((mail) => mail.to).sort(), FINE);
  }),
);

test(
  'a header alone finishes with nothing read; what is no list of recipients is refused in one line',
  withCluster(async (c) => {
    await c.master();
    const brief = await c.brief();
    const submit = (source: string, other = brief): Promise<Finished> =>
      c.run('epic', 'submit', 'newsletter', '--source', source, '--brief', other, '--watch');
    const row = 'email,name\nann@example.com,Ann\n';
    const good = await c.write('good.csv', row);
    const alone = await submit(await c.write('header.csv', 'email,name\n'));
    assert.equal(alone.code, 0, alone.err);
    assert.match(alone.out, /read 0 = succeeded 0/);
    assert.doesNotMatch(alone.err, /no worker offers/, 'it waits for nobody');

    refused(await submit(await c.write('empty.csv', '')), 2, /empty\.csv|empty/);
    refused(await submit(c.path('missing.csv')), 2, /missing\.csv/);
    refused(
      await submit(await c.write('utf16.csv', Buffer.from(`\ufeff${row}`, 'utf16le'))),
      2,
      /UTF-16|UTF-8/,
    );
    refused(await submit(await c.write('twice.csv', 'email,email\na@b.example,c\n')), 2, /email/);

    const faulty = { from: 'a@example.com', subject: 'Hi', html: '<p>\n{{ name | }}{% if %}</p>' };
    const template = await c.write('faulty.json', JSON.stringify(faulty));
    refused(await submit(good, template), 2, /faulty\.json.*html.*line 2.*column \d+/);
    assert.equal((await c.client.epics()).epics.length, 1, 'what is refused leaves no epic behind');
  }),
);

test(
  'what is not there or already there: exit 1 and the cure, in one line',
  withCluster(async (c) => {
    const [master, free] = await Promise.all([c.master(), lastingPort()]);
    const smtp = ['--works', 'newsletter', '--smtp', `smtp://127.0.0.1:${free}`];
    const noMail = await c.run('worker', ...smtp);
    refused(noMail, 1, new RegExp(`127\\.0\\.0\\.1:${free}.*--smtp`));

    const taken = new URL(c.url).host;
    const second = c.gimme('master', '--listen', taken, '--data', c.path('other'));
    const { code } = await second.gone('by itself');
    refused({ code, out: '', err: second.err.join('\n') }, 1, new RegExp(`${taken} is taken.*--listen`));
    assert.equal((await master.end('SIGTERM')).code, 0);

    const absent = await c.run('epic', 'ls');
    refused(absent, 1, new RegExp(`no master answers at ${c.url}.*gimme master`));
  }),
);

test(
  'a worker whose master is absent waits, says so once, and connects when it comes',
  withCluster(async (c) => {
    const [stub, port] = await Promise.all([c.stub(), lastingPort()]);
    c.url = `http://127.0.0.1:${port}`;
    const worker = c.worker(stub);
    await worker.line(/the link to the master is down/);
    await c.master(port);
    const known = await c.known(worker);
    assert.deepEqual(known.works, ['newsletter']);
    assert.equal(worker.err.filter((line) => line.includes('is down')).length, 1, worker.lastWords());
    assert.equal((await worker.end('SIGTERM')).code, 0);
  }),
);

/** One line on stderr that names what was wrong, no data, no stack, and this exit code. */
function refused(run: Finished, code: number, names: RegExp): void {
  assert.equal(run.code, code, run.err);
  assert.equal(run.out, '');
  assert.equal(run.err.split('\n').length, 1, run.err);
  assert.match(run.err, names);
  assert.ok(!/^\s+at /m.test(run.err), run.err);
}
