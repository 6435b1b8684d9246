/** The part of the suite of every Bus that is about its end: what close still delivers, and what it ends. */
import assert from 'node:assert/strict';
import type { Check } from './bus.ts';
import { bytes, opened, soon, Watch } from './watch.ts';

export function closing(check: Check): void {
  // More than the system takes at once, so that much of it is still to be sent; less than a peer's limit.
  const COUNT = 500;
  const frame = (i: number): Buffer => Buffer.alloc(14_000, `${i};`);
  const all = Array.from({ length: COUNT }, (_, i) => frame(i).toString());

  check('a worker that closes first delivers what was accepted', async (rig) => {
    const master = rig.master();
    const atMaster = await opened(master);
    const worker = rig.worker('w');
    await opened(worker);
    for (let i = 0; i < COUNT; i++) assert.equal(worker.send({ to: 'masters' }, frame(i)), true);
    await worker.close();
    await atMaster.until(() => atMaster.frames.length >= COUNT);
    assert.deepEqual(atMaster.texts(), all);
    assert.equal(worker.send({ to: 'masters' }, bytes('late')), false);
    if (rig.seesPeers) await soon(() => !master.send({ to: 'worker', id: 'w' }, bytes('gone')));
    await worker.close();
  });

  check('a master that closes first delivers what was accepted', async (rig) => {
    const master = rig.master();
    await opened(master);
    const workers = ['a', 'b'].map((id) => rig.worker(id));
    const watches = await Promise.all(workers.map((worker) => opened(worker)));
    for (let i = 0; i < COUNT; i++) assert.equal(master.send({ to: 'workers' }, frame(i)), true);
    await master.close();
    for (const watch of watches) {
      await watch.until(() => (rig.seesPeers ? watch.downs.length >= 1 : watch.frames.length >= COUNT));
      assert.deepEqual(watch.texts(), all);
    }
    assert.equal(master.send({ to: 'workers' }, bytes('late')), false);
    await master.close();
  });

  check('no handler runs after close was called (B5)', async (rig) => {
    const master = rig.master();
    const atMaster = await opened(master);
    const leaver = rig.worker('leaver');
    const stayer = rig.worker('stayer');
    const atLeaver = await opened(leaver);
    const atStayer = await opened(stayer);
    const flood = (): void => {
      for (let i = 0; i < COUNT; i++) master.send({ to: 'workers' }, frame(i));
      for (let i = 0; i < COUNT; i++) stayer.send({ to: 'masters' }, frame(i));
    };
    flood();
    await atLeaver.until(() => atLeaver.frames.length >= 1);
    const leaverCalls = atLeaver.calls();
    await leaver.close();
    await atStayer.until(() => atStayer.frames.length >= COUNT);
    assert.equal(atLeaver.calls(), leaverCalls);

    await atMaster.until(() => atMaster.frames.length >= COUNT);
    flood();
    const masterCalls = atMaster.calls();
    await master.close();
    if (rig.seesPeers) await atStayer.until(() => atStayer.downs.length >= 1);
    else await stayer.close();
    assert.equal(atMaster.calls(), masterCalls);
  });

  check('close ends an open that still waits', async (rig) => {
    await rig.stopHub();
    const worker = rig.worker('w');
    const atWorker = new Watch();
    const open = assert.rejects(worker.open(atWorker), { code: 'link_down' });
    await atWorker.until(() => atWorker.downs.length >= 1);
    await worker.close();
    await open;
    assert.equal(atWorker.ups, 0);
  });
}
