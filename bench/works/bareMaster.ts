/**
 * The master of the bare pull loop: it makes units, puts as many as were pulled into one frame and sends it to whoever
 * pulled. No journal, no leases, no metrics, no upload: what a master over this bus could do at most. Its one
 * argument is JSON. Told to go, it serves; it tells how long that took, and where it pauses between frames, how long
 * each took to come back.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { performance } from 'node:perf_hooks';
import { NatsBus } from '../../shared/io/bus/natsBus.ts';
import { WsHub } from '../../shared/io/bus/wsHub.ts';
import type { Bus } from '../../shared/io/bus.ts';
import { unitText } from '../units.ts';

const { units, workers, batch, ahead, pauseMs, nats } = JSON.parse(process.argv[2] ?? '') as {
  units: number;
  workers: number;
  /** Units of one frame. */
  batch: number;
  /** Frames that each worker has ahead of it. */
  ahead: number;
  /** Before each frame but the first. */
  pauseMs?: number;
  nats?: string;
};

const LENGTH_BYTES = 4;

let bus: Bus;
if (nats === undefined) {
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  bus = new WsHub({ id: 'bare-master', server });
  process.send?.({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
} else bus = new NatsBus({ id: 'bare-master', role: 'master', servers: nats });

const here = new Set<string>();
let made = 0;
let done = 0;
let startedMs = 0;
let sentMs = 0;
const roundTripsMs: number[] = [];

await bus.open({
  onFrame(from, frame) {
    if (startedMs > 0) return pulled(from, Buffer.from(frame.buffer, frame.byteOffset).readUInt32BE());
    here.add(from);
    if (here.size === workers) process.send?.({ ready: true });
  },
  onUp() {},
  onDown(reason) {
    throw new Error(reason);
  },
});
if (nats !== undefined) process.send?.({ url: nats });

process.on('message', () => {
  startedMs = performance.now();
  for (let i = 0; i < ahead; i++) for (const session of here) give(session);
});
process.once('SIGTERM', () => process.exit(0));

function pulled(from: string, ran: number): void {
  done += ran;
  if (pauseMs !== undefined) roundTripsMs.push(performance.now() - sentMs);
  if (done === units) process.send?.({ ms: performance.now() - startedMs, roundTripsMs });
  else if (pauseMs === undefined) give(from);
  else setTimeout(() => give(from), pauseMs);
}

/** Sends the next batch: each unit as its length and its bytes. */
function give(session: string): void {
  const count = Math.min(batch, units - made);
  if (count === 0) return;
  const texts: string[] = [];
  let bytes = 0;
  for (let i = 0; i < count; i++) {
    const text = unitText(made++);
    texts.push(text);
    bytes += LENGTH_BYTES + text.length;
  }
  const frame = Buffer.allocUnsafe(bytes);
  let at = 0;
  for (const text of texts) {
    frame.writeUInt32BE(text.length, at);
    frame.write(text, at + LENGTH_BYTES, 'latin1');
    at += LENGTH_BYTES + text.length;
  }
  sentMs = performance.now();
  if (!bus.send({ to: 'worker', id: session }, frame)) throw new Error(`${session} cannot be reached`);
}
