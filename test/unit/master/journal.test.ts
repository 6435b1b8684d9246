import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EpicRecord } from '../../../master/core/records.ts';
import type { Outgoing } from '../../../master/core/state.ts';
import { Journal } from '../../../master/io/journal.ts';

const record = (epic: string): EpicRecord => ({ k: 'epic-finished', epic, outcome: 'finished', wallMs: 1 });

const message = (session: string, after: number): Outgoing => ({
  to: 'worker',
  session,
  message: { t: 'settled', term: 1, grants: [] },
  payload: [],
  after,
});

/** A journal over a store that takes an append when the test says so. */
function rig() {
  const appends: { epics: string[]; done: () => void }[] = [];
  const happened: string[] = [];
  const journal = new Journal({
    store: {
      append: (records) =>
        new Promise((done) => {
          appends.push({ epics: records.map(({ epic }) => epic), done });
        }),
    },
    monoMs: () => 0,
    onSynced: (records) => happened.push(`synced ${records.length}`),
    send: (sent) => happened.push(`sent ${sent.to === 'worker' ? sent.session : 'all'}`),
    onStalled: () => {},
    setTimer: () => () => {},
    onFatal: (error) => assert.fail(String(error)),
  });
  return { journal, appends, happened };
}

test('what is decided together is one append, also where nothing else is under way', () => {
  const { journal, appends } = rig();
  journal.together(() => {
    journal.take([record('a')], [], 1);
    journal.take([record('b')], [], 2);
    assert.equal(appends.length, 0);
  });
  assert.deepEqual(
    appends.map(({ epics }) => epics),
    [['a', 'b']],
  );
  journal.take([record('c')], [], 3);
  assert.equal(appends.length, 1, 'one append at a time');
});

test('what waited for a record is sent as soon as that is durable, before anybody else is told', async () => {
  const { journal, appends, happened } = rig();
  journal.take([record('a')], [message('w', 1)], 1);
  assert.deepEqual(happened, []);
  appends[0]?.done();
  await journal.settled();
  assert.deepEqual(happened, ['sent w', 'synced 1']);
});

test('nothing is left held where there was nothing to decide', () => {
  const { journal, appends } = rig();
  journal.together(() => {});
  journal.take([record('a')], [], 1);
  assert.equal(appends.length, 1);
});

test('what cannot be decided holds nothing up', () => {
  // The journal appended nothing any more, and nobody was told why.
  const { journal, appends } = rig();
  assert.throws(() =>
    journal.together(() => {
      journal.take([record('a')], [], 1);
      throw new Error('no');
    }),
  );
  assert.equal(appends.length, 1);
});
