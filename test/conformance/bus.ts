/**
 * The conformance suite of the `Bus` seam: what shared/io/bus.ts promises, tried on any implementation.
 * A file `bus.<kind>.test.ts` gives a *rig*: how to make buses of its kind and how to break their links.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { MESSAGE_BYTES_MAX, PEER_BUFFER_BYTES_MAX } from '../../shared/core/limits.ts';
import type { Bus } from '../../shared/io/bus.ts';
import { closing } from './busClosing.ts';
import { bytes, opened, soon, Watch } from './watch.ts';

/** One network of one kind, for one test. It starts with a hub, to which no master's bus is opened yet. */
export type BusRig = {
  /** A bus for the master of the hub that runs now; made, not opened. */
  master(): Bus;
  /** A bus for a worker; made, not opened. */
  worker(id: string): Bus;
  /** Breaks the connection under a worker once; it may be made again at once. */
  breakLink(id: string): void;
  /** Takes the hub away without a goodbye, as `kill -9` of its process does. */
  stopHub(): Promise<void>;
  /** Starts a hub where the stopped one was. */
  startHub(): Promise<void>;
  /** Connects a worker that never reads. */
  stalledWorker(id: string): Promise<void>;
  /**
   * Whether a bus sees its peers come and go. Where a server stands between it does not, and the server
   * cuts those who do not read.
   */
  readonly seesPeers: boolean;
  /** Whether the server that stands between has cut this worker. */
  hasCut?(id: string): boolean;
  /** Bytes that may leave the sender for a peer that does not read, beside its buffer (the system's own). */
  readonly outsideBufferBytes: number;
  /** Ends what the rig started and the buses it made. */
  end(): Promise<void>;
};

export const MASTER = 'master-1';

const TEST_MS = 120_000;

/** Runs the whole suite on one kind of bus. */
export function busConformance(kind: string, setup: () => Promise<BusRig>): void {
  const check = (what: string, body: (rig: BusRig) => Promise<void>): void => {
    void test(`bus over ${kind}: ${what}`, { timeout: TEST_MS }, async () => {
      const rig = await setup();
      try {
        await body(rig);
      } finally {
        await rig.end();
      }
    });
  };
  carrying(check);
  breaking(check);
  slowness(check);
  closing(check);
}

export type Check = (what: string, body: (rig: BusRig) => Promise<void>) => void;

const FRAMES = 10_000;

/** Sizes at the edges of what transports encode differently, and all sorts between; one of the largest. */
function sizeOf(i: number): number {
  const edges = [1, 125, 126, 127, 4_096, 65_535, 65_536, 65_537];
  if (i === FRAMES / 2) return MESSAGE_BYTES_MAX;
  return i % 100 < edges.length ? (edges[i % 100] ?? 1) : 5 + ((i * 7919) % 3_000);
}

/** Frame number i of a sender: every byte of it follows from the number and the sender. */
function numbered(sender: string, i: number): Buffer {
  return Buffer.alloc(sizeOf(i), `${sender}:${i};`);
}

async function sendNumbered(bus: Bus, address: Parameters<Bus['send']>[0]): Promise<void> {
  for (let i = 0; i < FRAMES; i++) {
    await soon(() => bus.buffered() < 1_000_000);
    assert.equal(bus.send(address, numbered(bus.id, i)), true, `frame ${i} of ${bus.id} was not accepted`);
  }
}

function assertNumbered(watch: Watch, sender: string): void {
  assert.equal(watch.frames.length, FRAMES);
  for (const [i, { from, frame }] of watch.frames.entries()) {
    assert.equal(from, sender);
    assert.ok(numbered(sender, i).equals(frame), `frame ${i} of ${sender} is not the one that was sent`);
  }
}

function carrying(check: Check): void {
  check(`${FRAMES} frames of all sizes each way arrive once, in order and whole (B1)`, async (rig) => {
    const master = rig.master();
    const worker = rig.worker('w');
    const atMaster = await opened(master);
    const atWorker = await opened(worker);
    await Promise.all([
      sendNumbered(master, { to: 'worker', id: 'w' }),
      sendNumbered(worker, { to: 'masters' }),
      atMaster.until(() => atMaster.frames.length >= FRAMES),
      atWorker.until(() => atWorker.frames.length >= FRAMES),
    ]);
    assertNumbered(atMaster, 'w');
    assertNumbered(atWorker, MASTER);
    assert.deepEqual([atMaster.ups, atWorker.ups], [1, 1]);
    assert.deepEqual([...atMaster.downs, ...atWorker.downs], []);
  });

  check('a broadcast reaches every worker connected, and nobody else', async (rig) => {
    const master = rig.master();
    const atMaster = await opened(master);
    const gone = rig.worker('gone');
    const atGone = await opened(gone);
    const workers = ['a', 'b', 'c'];
    const watches = await Promise.all(workers.map((id) => opened(rig.worker(id))));
    await gone.close();
    assert.equal(master.send({ to: 'workers' }, bytes('all')), true);
    for (const id of workers) assert.equal(master.send({ to: 'worker', id }, bytes(id)), true);
    for (const [i, watch] of watches.entries()) {
      await watch.until(() => watch.frames.length >= 2);
      assert.deepEqual(watch.texts(), ['all', workers[i]]);
    }
    assert.deepEqual(atGone.frames, []);
    assert.deepEqual(atMaster.frames, []);
  });

  check('a frame goes to the one it is addressed to and says who sent it', async (rig) => {
    const master = rig.master();
    const atMaster = await opened(master);
    const a = rig.worker('a');
    const b = rig.worker('b');
    const [atA, atB] = await Promise.all([opened(a), opened(b)]);
    master.send({ to: 'worker', id: 'a' }, bytes('for a'));
    master.send({ to: 'worker', id: 'b' }, bytes('for b'));
    assert.equal(a.send({ to: 'master', id: MASTER }, bytes('from a')), true);
    // Who does not see its peers cannot say that nobody is there.
    assert.equal(a.send({ to: 'master', id: 'another-master' }, bytes('lost')), !rig.seesPeers);
    assert.equal(
      a.send({ to: 'worker', id: 'b' }, bytes('lost')),
      false,
      'workers do not speak to each other',
    );
    assert.equal(a.send({ to: 'workers' }, bytes('lost')), false);
    assert.equal(master.send({ to: 'masters' }, bytes('lost')), false);
    assert.equal(master.send({ to: 'worker', id: 'nobody' }, bytes('lost')), !rig.seesPeers);
    for (const id of ['', 'a.b', '*', '>', 'a b', 'a\r\nPING'])
      assert.equal(master.send({ to: 'worker', id }, bytes('lost')), false, 'no id');
    await atMaster.until(() => atMaster.frames.length >= 1);
    b.send({ to: 'masters' }, bytes('from b'));
    await atMaster.until(() => atMaster.frames.length >= 2);
    await atA.until(() => atA.frames.length >= 1);
    await atB.until(() => atB.frames.length >= 1);
    assert.deepEqual(
      atMaster.frames.map(({ from }) => from),
      ['a', 'b'],
    );
    assert.deepEqual(atMaster.texts(), ['from a', 'from b']);
    assert.deepEqual(atA.texts(), ['for a']);
    assert.deepEqual(atB.texts(), ['for b']);
  });

  check('an empty or oversized frame is refused where it is sent, and the link goes on', async (rig) => {
    const master = rig.master();
    await opened(master);
    const atWorker = await opened(rig.worker('w'));
    assert.throws(() => master.send({ to: 'workers' }, new Uint8Array(0)), /frame of 0 bytes/);
    assert.throws(
      () => master.send({ to: 'workers' }, new Uint8Array(MESSAGE_BYTES_MAX + 1)),
      /frame of \d+ bytes/,
    );
    master.send({ to: 'workers' }, bytes('still here'));
    await atWorker.until(() => atWorker.frames.length >= 1);
    assert.deepEqual(atWorker.texts(), ['still here']);
    assert.deepEqual(atWorker.downs, []);
  });

  check('handlers run one at a time and never within a call of send (B5)', async (rig) => {
    const master = rig.master();
    const worker = rig.worker('w');
    const atMaster = await opened(master);
    let isWithin = false;
    const seen: number[] = [];
    const sendAll = (bus: Bus, address: Parameters<Bus['send']>[0], frame: Uint8Array): void => {
      isWithin = true;
      for (let i = 0; i < 3; i++) assert.equal(bus.send(address, frame), true);
      isWithin = false;
    };
    await worker.open({
      onUp: () => {},
      onDown: () => {},
      onFrame(_from, frame) {
        assert.equal(isWithin, false, 'a handler ran within send');
        seen.push(frame[0] ?? 0);
        sendAll(worker, { to: 'masters' }, frame);
      },
    });
    for (let i = 1; i <= 100; i++) sendAll(master, { to: 'worker', id: 'w' }, Uint8Array.of(i));
    await atMaster.until(() => atMaster.frames.length >= 900);
    const expected = Array.from({ length: 300 }, (_, i) => 1 + Math.floor(i / 3));
    assert.deepEqual(seen, expected);
  });
}

function breaking(check: Check): void {
  check('a broken link is made again; each break is told once down and once up (B4)', async (rig) => {
    const master = rig.master();
    const worker = rig.worker('w');
    const atMaster = await opened(master);
    const atWorker = await opened(worker);
    for (let breaks = 1; breaks <= 3; breaks++) {
      rig.breakLink('w');
      await atWorker.until(() => atWorker.ups >= breaks + 1);
      assert.equal(atWorker.ups, breaks + 1);
      assert.equal(atWorker.downs.length, breaks);
      assert.equal(worker.send({ to: 'masters' }, bytes(`up ${breaks}`)), true);
      await atMaster.until(() => atMaster.frames.length >= breaks);
      assert.equal(master.send({ to: 'worker', id: 'w' }, bytes(`down ${breaks}`)), true);
      await atWorker.until(() => atWorker.frames.length >= breaks);
    }
    assert.deepEqual(atMaster.texts(), ['up 1', 'up 2', 'up 3']);
    assert.deepEqual(atWorker.texts(), ['down 1', 'down 2', 'down 3']);
    assert.equal(atMaster.ups, 1);
    assert.deepEqual(atMaster.downs, []);
  });

  check('a frame sent while down is refused and never arrives later (B2); workers come back', async (rig) => {
    await opened(rig.master());
    const workers = ['a', 'b', 'c'].map((id) => rig.worker(id));
    const watches = await Promise.all(workers.map((worker) => opened(worker)));
    await rig.stopHub();
    for (const watch of watches) await watch.until(() => watch.downs.length >= 1);
    for (const worker of workers) {
      assert.equal(worker.send({ to: 'masters' }, bytes('while down')), false);
      assert.equal(worker.buffered(), 0);
    }
    await rig.startHub();
    const master = rig.master();
    const atMaster = await opened(master);
    for (const watch of watches) await watch.until(() => watch.ups >= 2);
    for (const worker of workers) worker.send({ to: 'masters' }, bytes('back'));
    await atMaster.until(() => atMaster.frames.length >= 3);
    assert.deepEqual(atMaster.texts(), ['back', 'back', 'back']);
    master.send({ to: 'workers' }, bytes('welcome'));
    for (const watch of watches) {
      await watch.until(() => watch.frames.length >= 1);
      assert.deepEqual(watch.texts(), ['welcome']);
      assert.equal(watch.downs.length, 1, 'down is said once, however often trying again failed');
    }
  });

  check('a worker whose master is absent waits and says so once', async (rig) => {
    await rig.stopHub();
    const worker = rig.worker('early');
    const atWorker = new Watch();
    const open = worker.open(atWorker);
    await atWorker.until(() => atWorker.downs.length >= 1);
    assert.equal(worker.send({ to: 'masters' }, bytes('too early')), false);
    await rig.startHub();
    const atMaster = await opened(rig.master());
    await open;
    assert.deepEqual([atWorker.ups, atWorker.downs.length], [1, 1]);
    worker.send({ to: 'masters' }, bytes('hello'));
    await atMaster.until(() => atMaster.frames.length >= 1);
    assert.deepEqual(atMaster.texts(), ['hello']);
  });

  check('of two connections of one session the newest wins where it is seen', async (rig) => {
    if (!rig.seesPeers) return bothAreHeard(rig);
    const master = rig.master();
    const atMaster = await opened(master);
    const older = rig.worker('same');
    const atOlder = await opened(older);
    const newer = rig.worker('same');
    const atNewer = await opened(newer);
    await atOlder.until(() => atOlder.downs.length >= 1);
    assert.match(atOlder.downs[0] ?? '', /replaced/);
    assert.equal(older.send({ to: 'masters' }, bytes('older')), false);
    await older.close();
    assert.equal(newer.send({ to: 'masters' }, bytes('newer')), true);
    await atMaster.until(() => atMaster.frames.length >= 1);
    assert.deepEqual(atMaster.texts(), ['newer']);
    assert.equal(master.send({ to: 'worker', id: 'same' }, bytes('to the newer')), true);
    await atNewer.until(() => atNewer.frames.length >= 1);
    assert.deepEqual(atNewer.downs, []);
    assert.deepEqual([atOlder.ups, atOlder.frames.length], [1, 0]);
  });
}

/** Two connections of one session where nobody sees them: both hear, both are heard. */
async function bothAreHeard(rig: BusRig): Promise<void> {
  const master = rig.master();
  const atMaster = await opened(master);
  const [older, newer] = [rig.worker('same'), rig.worker('same')];
  const watches = await Promise.all([opened(older), opened(newer)]);
  older.send({ to: 'masters' }, bytes('older'));
  await atMaster.until(() => atMaster.frames.length >= 1);
  newer.send({ to: 'masters' }, bytes('newer'));
  await atMaster.until(() => atMaster.frames.length >= 2);
  assert.deepEqual(atMaster.texts(), ['older', 'newer']);
  master.send({ to: 'worker', id: 'same' }, bytes('both'));
  for (const watch of watches) {
    await watch.until(() => watch.frames.length >= 1);
    assert.deepEqual(watch.downs, []);
  }
}

function slowness(check: Check): void {
  check(
    'a worker that does not read is cut at the limit; others go on; memory is bounded (B3)',
    async (rig) => {
      const master = rig.master();
      await opened(master);
      const atLive = await opened(rig.worker('live'));
      await rig.stalledWorker('stalled');
      const frame = new Uint8Array(64 * 1024);
      let acceptedBytes = 0;
      let liveFrames = 0;
      let bufferedMax = 0;
      while (!rig.hasCut?.('stalled') && master.send({ to: 'worker', id: 'stalled' }, frame)) {
        acceptedBytes += frame.length;
        assert.ok(acceptedBytes <= PEER_BUFFER_BYTES_MAX + rig.outsideBufferBytes, 'it is never cut');
        if (master.send({ to: 'worker', id: 'live' }, bytes('on'))) liveFrames += 1;
        bufferedMax = Math.max(bufferedMax, master.buffered());
        // Where nobody is to be cut by this end, it waits as who sends much should.
        if (!rig.seesPeers) await soon(() => master.buffered() < 1_000_000);
        await turn();
      }
      assert.ok(acceptedBytes > PEER_BUFFER_BYTES_MAX / 2, 'it was cut long before the limit');
      if (rig.seesPeers) {
        assert.ok(bufferedMax > PEER_BUFFER_BYTES_MAX / 2, 'the stalled worker was read from');
        assert.equal(master.send({ to: 'worker', id: 'stalled' }, frame), false, 'a cut peer takes nothing');
      }
      assert.ok(bufferedMax <= PEER_BUFFER_BYTES_MAX + 1_000, `${bufferedMax} bytes were buffered`);
      await soon(() => master.buffered() === 0);
      assert.equal(master.send({ to: 'worker', id: 'live' }, bytes('last')), true);
      await atLive.until(() => atLive.frames.length >= liveFrames + 1);
      assert.deepEqual(atLive.downs, []);
    },
  );
}
