/**
 * A JetStream work queue on file storage. `stock` is what the client's pages show: js.publish, consume() with its
 * defaults, ack() of each message. `expert` is the fastest found that still has every message confirmed: raw
 * publishes with one fixed inbox for all confirmations, large pulls, no stack traces for each call, and, with
 * `ackAll`, one consumer for each process on subjects of its own, acknowledged once for many.
 */
import { readUnit, unitBytes } from './units.mjs';

const STREAM = 'bench';
const CONSUMERS = 2;

const subject = (part) => `bench.${part % CONSUMERS}`;

async function open({ port, tuning }) {
  const { connect } = await import('nats');
  return connect({ servers: `127.0.0.1:${port}`, noAsyncTraces: tuning.kind === 'expert' });
}

export async function producer(config) {
  const { units, tuning } = config;
  const connection = await open(config);
  const manager = await connection.jetstreamManager();
  await manager.streams.add({
    name: STREAM,
    subjects: ['bench.*'],
    retention: tuning.ackAll ? 'interest' : 'workqueue',
    storage: 'file',
    num_replicas: 1,
  });
  const consumer = { ack_policy: tuning.ackAll ? 'all' : 'explicit', max_ack_pending: tuning.pending };
  if (tuning.ackAll) {
    for (let i = 0; i < CONSUMERS; i++) {
      await manager.consumers.add(STREAM, {
        ...consumer,
        durable_name: `part-${i}`,
        filter_subject: subject(i),
      });
    }
  } else await manager.consumers.add(STREAM, { ...consumer, durable_name: 'all' });
  return tuning.kind === 'stock'
    ? () => publishStock(connection, units, tuning)
    : () => publishExpert(connection, units, tuning);
}

async function publishStock(connection, units, { window }) {
  const js = connection.jetstream();
  for (let from = 0; from < units; from += window) {
    const count = Math.min(window, units - from);
    await Promise.all(
      Array.from({ length: count }, (_, i) => js.publish(subject(from + i), unitBytes(from + i))),
    );
  }
}

function publishExpert(connection, units, { window }) {
  return new Promise((resolve) => {
    const inbox = 'bench-confirmations';
    let sent = 0;
    let confirmed = 0;
    const send = () => {
      for (; sent < units && sent - confirmed < window; sent++) {
        connection.publish(subject(sent), unitBytes(sent), { reply: inbox });
      }
    };
    connection.subscribe(inbox, {
      callback: (error, message) => {
        if (error) throw error;
        if (message.string().includes('"error"')) throw new Error(message.string());
        confirmed += 1;
        if (confirmed === units) resolve();
        else if (sent - confirmed <= window / 2) send();
      },
    });
    send();
  });
}

export async function consumer(config, completed) {
  const { tuning, number } = config;
  const connection = await open(config);
  const name = tuning.ackAll ? `part-${number - 1}` : 'all';
  const consumer = await connection.jetstream().consumers.get(STREAM, name);
  if (tuning.kind === 'stock') {
    const messages = await consumer.consume();
    void (async () => {
      for await (const message of messages) {
        readUnit(message.data);
        message.ack();
        completed(1);
      }
    })();
    return;
  }
  let last;
  let count = 0;
  const acknowledge = () => {
    last.ack();
    completed(count);
    count = 0;
  };
  await consumer.consume({
    max_messages: tuning.batch,
    callback: (message) => {
      readUnit(message.data);
      if (!tuning.ackAll) {
        message.ack();
        completed(1);
        return;
      }
      last = message;
      if (count === 0) setImmediate(acknowledge);
      count += 1;
    },
  });
}
