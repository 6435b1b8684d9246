/** The Bus over memory keeps what a Bus promises, and loses and doubles frames where a test asks for it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryNetwork } from '../../shared/io/bus/memory.ts';
import type { Bus } from '../../shared/io/bus.ts';
import { type BusRig, busConformance, MASTER } from './bus.ts';
import { bytes, opened } from './watch.ts';

busConformance('memory', setup);

async function setup(): Promise<BusRig> {
  const network = new MemoryNetwork();
  const buses: Bus[] = [];
  const made = (bus: Bus): Bus => {
    buses.push(bus);
    return bus;
  };
  return {
    master: () => made(network.master(MASTER)),
    worker: (id) => made(network.worker(id)),
    breakLink(id) {
      network.cut(id);
      network.heal(id);
    },
    async stopHub() {
      network.cut(MASTER);
      await Promise.all(buses.filter((bus) => bus.role === 'master').map((bus) => bus.close()));
    },
    async startHub() {
      network.heal(MASTER);
    },
    async stalledWorker(id) {
      await opened(made(network.worker(id)));
      network.stall(id);
    },
    seesPeers: true,
    outsideBufferBytes: 0,
    async end() {
      await Promise.all(buses.map((bus) => bus.close()));
    },
  };
}

test('a frame is copied: what one does to it later changes nothing for others', async () => {
  const network = new MemoryNetwork();
  const master = network.master(MASTER);
  await opened(master);
  const [a, b] = await Promise.all([opened(network.worker('a')), opened(network.worker('b'))]);
  const frame = Uint8Array.of(1, 2, 3);
  master.send({ to: 'workers' }, frame);
  frame.fill(0);
  await a.until(() => a.frames.length === 1);
  a.frames[0]?.frame.fill(9);
  await b.until(() => b.frames.length === 1);
  assert.deepEqual([...(b.frames[0]?.frame ?? [])], [1, 2, 3]);
});

test('frames are lost and doubled as the filter says', async () => {
  const asked: string[] = [];
  const network = new MemoryNetwork({
    onSend(from, address, frame) {
      const text = Buffer.from(frame).toString();
      asked.push(`${from} ${address.to} ${text}`);
      return text === 'lost' ? 'drop' : text === 'twice' ? 'double' : 'pass';
    },
  });
  const master = network.master(MASTER);
  const worker = network.worker('w');
  const atMaster = await opened(master);
  await opened(worker);
  for (const text of ['lost', 'twice', 'once'])
    assert.equal(worker.send({ to: 'masters' }, bytes(text)), true);
  await atMaster.until(() => atMaster.frames.length >= 3);
  assert.deepEqual(atMaster.texts(), ['twice', 'twice', 'once']);
  assert.deepEqual(asked, ['w masters lost', 'w masters twice', 'w masters once']);
  assert.equal(worker.buffered(), 0);
});

test('a cut loses what is under way, lasts until it is healed, and leaves the others alone', async () => {
  const network = new MemoryNetwork();
  const master = network.master(MASTER);
  const atMaster = await opened(master);
  const [w, other] = [network.worker('w'), network.worker('other')];
  const [atW, atOther] = await Promise.all([opened(w), opened(other)]);
  w.send({ to: 'masters' }, bytes('under way'));
  master.send({ to: 'worker', id: 'w' }, bytes('under way'));
  network.cut('w');
  assert.equal(w.buffered() + master.buffered(), 0);
  assert.equal(w.send({ to: 'masters' }, bytes('down')), false);
  assert.equal(master.send({ to: 'worker', id: 'w' }, bytes('down')), false);
  other.send({ to: 'masters' }, bytes('here'));
  await atMaster.until(() => atMaster.frames.length >= 1);
  network.heal('w');
  await atW.until(() => atW.ups === 2);
  w.send({ to: 'masters' }, bytes('again'));
  await atMaster.until(() => atMaster.frames.length >= 2);
  assert.deepEqual(atMaster.texts(), ['here', 'again']);
  assert.deepEqual([atW.downs, atW.texts(), atOther.downs], [['the link was cut'], [], []]);
});

test('a stalled node hears nothing until it is healed, then all in order', async () => {
  const network = new MemoryNetwork();
  const master = network.master(MASTER);
  await opened(master);
  const [atW, atOther] = await Promise.all([opened(network.worker('w')), opened(network.worker('other'))]);
  network.stall('w');
  for (const text of ['1', '2', '3']) master.send({ to: 'workers' }, bytes(text));
  await atOther.until(() => atOther.frames.length === 3);
  assert.deepEqual(atW.texts(), []);
  network.heal('w');
  await atW.until(() => atW.frames.length === 3);
  assert.deepEqual([atW.texts(), atW.ups], [['1', '2', '3'], 1]);
});

test('with two masters a worker stays up while either is there, and speaks to both or to one', async () => {
  const network = new MemoryNetwork();
  const [one, two] = [network.master('one'), network.master('two')];
  const [atOne, atTwo] = await Promise.all([opened(one), opened(two)]);
  const worker = network.worker('w');
  const atWorker = await opened(worker);
  worker.send({ to: 'masters' }, bytes('both'));
  worker.send({ to: 'master', id: 'two' }, bytes('two'));
  await atTwo.until(() => atTwo.frames.length === 2);
  await one.close();
  worker.send({ to: 'masters' }, bytes('rest'));
  await atTwo.until(() => atTwo.frames.length === 3);
  assert.deepEqual([atOne.texts(), atTwo.texts()], [['both'], ['both', 'two', 'rest']]);
  assert.deepEqual(atWorker.downs, []);
  await two.close();
  await atWorker.until(() => atWorker.downs.length === 1);
});
