/**
 * RabbitMQ with a quorum queue: persistent messages under publisher confirms, a prefetch, and one acknowledgement
 * for all that came in one turn of the loop.
 */
import { readUnit, unitBytes } from './units.mjs';

const QUEUE = 'bench';

async function open(port) {
  const { default: amqp } = await import('amqplib');
  const connection = await amqp.connect(`amqp://127.0.0.1:${port}`, { noDelay: true });
  connection.on('error', (error) => console.error(error.message));
  return connection;
}

export async function producer({ port, units, tuning }) {
  const channel = await (await open(port)).createConfirmChannel();
  await channel.assertQueue(QUEUE, { durable: true, arguments: { 'x-queue-type': 'quorum' } });
  return () =>
    new Promise((resolve) => {
      let sent = 0;
      let confirmed = 0;
      const onConfirm = (error) => {
        if (error) throw error;
        confirmed += 1;
        if (confirmed === units) resolve();
        else if (sent - confirmed <= tuning.window / 2) send();
      };
      const send = () => {
        for (; sent < units && sent - confirmed < tuning.window; sent++) {
          channel.sendToQueue(QUEUE, unitBytes(sent), { persistent: true }, onConfirm);
        }
      };
      send();
    });
}

export async function consumer({ port, tuning }, completed) {
  const channel = await (await open(port)).createChannel();
  await channel.prefetch(tuning.prefetch);
  let last;
  let count = 0;
  const acknowledge = () => {
    channel.ack(last, true);
    completed(count);
    count = 0;
  };
  await channel.consume(QUEUE, (message) => {
    readUnit(message.content);
    last = message;
    if (count === 0) setImmediate(acknowledge);
    count += 1;
  });
}
