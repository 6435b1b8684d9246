/**
 * A worker of the bare pull loop: it gives each unit, as bytes, to a `doWork` that does nothing, and pulls again by
 * saying how many it ran. Its one argument is JSON.
 */
import { NatsBus } from '../../shared/io/bus/natsBus.ts';
import { WsClient } from '../../shared/io/bus/wsClient.ts';

const { name, master, nats } = JSON.parse(process.argv[2] ?? '') as {
  name: string;
  /** The other end of the link: one of the two. */
  master?: string;
  nats?: string;
};

const LENGTH_BYTES = 4;
const bus =
  nats === undefined
    ? new WsClient({ id: name, url: master ?? '' })
    : new NatsBus({ id: name, role: 'worker', servers: nats });
let seen = 0;

await bus.open({
  onFrame(_from, frame) {
    const units = Buffer.from(frame.buffer, frame.byteOffset, frame.length);
    let ran = 0;
    for (let at = 0; at < units.length; ran++) {
      const start = at + LENGTH_BYTES;
      at = start + units.readUInt32BE(at);
      doWork(units.subarray(start, at));
    }
    pull(ran);
  },
  onUp: () => pull(0),
  onDown(reason) {
    throw new Error(reason);
  },
});
process.once('SIGTERM', () => process.exit(0));

function doWork(unit: Uint8Array): void {
  seen += unit.length;
}

function pull(ran: number): void {
  const frame = Buffer.alloc(LENGTH_BYTES);
  frame.writeUInt32BE(ran);
  bus.send({ to: 'masters' }, frame);
}

process.once('exit', () => {
  if (seen === 0) process.exitCode = 1;
});
