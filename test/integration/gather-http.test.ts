/** Gathers asked as programs and people do: over HTTP and by the command line, of a real master and real workers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EpicStatus } from '../../client/index.ts';
import { squares } from '../fixtures/cluster/gatheringWorks.ts';
import { GATHERING_WORKS, withCluster } from '../processes/cluster.ts';
import { until } from '../processes/until.ts';

const JSON_BODY = { 'content-type': 'application/json' };

test(
  'asked by HTTP: 202, 200 with responses-received, 303, 200; a second ask is answered within its wait',
  withCluster(async (c) => {
    await c.master();
    const ask = (body: unknown, headers = {}): Promise<Response> =>
      fetch(`${c.url}/v1/gathers/squares`, {
        method: 'POST',
        headers: { ...JSON_BODY, ...headers },
        body: JSON.stringify(body),
      });
    const bodyOf = async (answer: Response): Promise<EpicStatus & Record<string, unknown>> =>
      (await answer.json()) as EpicStatus & Record<string, unknown>;
    const get = (path: string): Promise<Response> => fetch(c.url + path, { redirect: 'manual' });
    const asked = await ask({ input: { count: 50 }, deadline: '5m', name: 'first' });
    assert.equal(asked.status, 202);
    const self = asked.headers.get('location') ?? '';
    const shown = await bodyOf(asked);
    assert.deepEqual([shown['status'], shown['state'], shown.links.self], ['running', 'scattering', self]);
    assert.ok(Date.parse(String(shown['eta'])) > Date.now());

    const early = await get(`${self}/result`);
    assert.deepEqual([early.status, (await bodyOf(early))['code']], [409, 'wrong_state']);
    const polled = await get(self);
    assert.deepEqual([polled.status, (await bodyOf(polled))['responses-received']], [200, 0]);
    const unchanged = await fetch(c.url + self, {
      headers: { 'if-none-match': polled.headers.get('etag') ?? '' },
    });
    assert.equal(unchanged.status, 304);

    c.gimme('worker', '--master', c.url, '--works', GATHERING_WORKS);
    const epic = await c.client.epic('first');
    assert.equal((await epic.wait({ timeoutMs: 120_000 })).state, 'finished');
    const over = await get(self);
    assert.deepEqual([over.status, over.headers.get('location')], [303, `${self}/result`]);
    const followed = await fetch(c.url + self);
    assert.equal(followed.status, 200);
    const value = { sum: 40_425, missing: [] };
    assert.deepEqual(await followed.json(), { complete: true, missing: [], failed: 0, value });

    const lines = (await (await get(`${self}/results`)).text()).trimEnd().split('\n');
    assert.equal(lines.length, 50);
    assert.deepEqual(JSON.parse(lines[7] ?? ''), { unit: 7, answer: 49 });
    const csv = await (await get(`${self}/results?format=csv`)).text();
    assert.match(csv, /^unit,answer\r\n0,"0"\r\n1,"1"\r\n/);

    const waited = await ask({ input: { count: 3 } }, { prefer: 'wait=60' });
    assert.equal(waited.status, 200);
    assert.equal(waited.headers.get('preference-applied'), 'wait=60');
    assert.deepEqual((await bodyOf(waited))['value'], { sum: 5, missing: [] });
    const answer = await c.client.ask(squares, { count: 4 }, { deadline: '1m' });
    assert.deepEqual([answer.complete, answer.value.sum], [true, 14]);
  }),
);

test(
  'a deadline ends it with what is there: the command exits 6, names what is missing, and the answers can be read',
  withCluster(async (c) => {
    await c.master();
    c.gimme('worker', '--master', c.url, '--works', GATHERING_WORKS);
    // Broke on a busy machine: the deadline passed before the worker was there.
    await until(
      'the worker is there',
      () => c.client.workers(),
      ({ length }) => length === 1,
    );
    const input = JSON.stringify({ count: 6, stuck: [2, 3] });
    const asking = c.gimme(
      'ask',
      'squares',
      '--input',
      input,
      '--deadline',
      '5s',
      '--name',
      'partial',
      '-o',
      'json',
      '--master',
      c.url,
    );
    const { code } = await asking.gone('after its deadline');
    assert.equal(code, 6, asking.lastWords());
    const { complete, missing, value } = JSON.parse(asking.out.join(''));
    assert.deepEqual([complete, missing, value.sum], [false, [2, 4], 0 + 1 + 16 + 25]);
    assert.ok(asking.err.some((line) => line === 'partial: of partial 2 did not answer in time, 0 failed'));
    const seen = [];
    for await (const { unit } of c.client.results('partial')) seen.push(unit);
    assert.deepEqual(seen, [0, 1, 4, 5]);

    const failing = c.gimme(
      'ask',
      'squares',
      '--input',
      input,
      '--deadline',
      '4s',
      '--quorum',
      '5',
      '--master',
      c.url,
    );
    assert.equal((await failing.gone('after its deadline')).code, 5, failing.lastWords());
    assert.ok(
      failing.err.some((line) => /quorum_missed: 4 answered, of at least 5/.test(line)),
      failing.lastWords(),
    );
    assert.ok(failing.err.some((line) => line.startsWith('Next: gimme epic results ')));
  }),
);
