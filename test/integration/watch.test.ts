/** A person who watches an epic while its master is killed and started again: told once of each, and of the end. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withCluster } from '../processes/cluster.ts';
import { lastingPort } from '../processes/port.ts';

test(
  'watch goes on after the master was killed and is back, and says so once each',
  withCluster(async (c) => {
    const port = await lastingPort();
    const master = await c.master(port);
    const { id } = await c.client.submit({ work: 'nobody', source: { type: 'range', from: 0, to: 10 } });
    const watching = c.gimme('epic', 'watch', id, '--master', c.url);
    await watching.line(/: +0\/10 /);
    await master.end('SIGKILL');
    await watching.line(/^master is gone, trying again$/);
    const again = await c.master(port);
    await watching.line(/^master is back$/);
    await c.client.cancel(id, 'seen enough');
    const { code } = await watching.gone('after the cancel');
    assert.equal(code, 5, watching.lastWords());
    await again.line(/ epic is being cancelled .*reason="seen enough"/);
    await again.line(/ epic cancelled .* cancelled 10 \+ missing 0 \+ outstanding 0/);
    const notes = watching.err.filter((line) => line.startsWith('master is'));
    assert.deepEqual(notes, ['master is gone, trying again', 'master is back']);
    assert.match(watching.out.join('\n'), /cancelled .*: seen enough\n {2}read 10 = .* cancelled 10 /);
  }),
);
