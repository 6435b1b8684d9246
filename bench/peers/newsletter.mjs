/**
 * The newsletter as BullMQ's users build it: recipients from a CSV file added in bulks, rendered by liquidjs (parsed
 * once) and sent through nodemailer's pool by Workers; completed jobs removed at once. liquidjs, csv-parse and
 * nodemailer are the very versions that we use.
 */
import { createReadStream } from 'node:fs';

const AHEAD = 2;

export async function producer({ port, recipients, tuning }) {
  const { Queue } = await import('bullmq');
  const { parse } = await import('csv-parse');
  const queue = new Queue('bench', {
    connection: { host: '127.0.0.1', port },
    defaultJobOptions: { removeOnComplete: true },
  });
  await queue.waitUntilReady();
  return async () => {
    const adding = [];
    let bulk = [];
    const add = () => {
      adding.push(queue.addBulk(bulk));
      bulk = [];
    };
    for await (const data of createReadStream(recipients).pipe(parse({ columns: true }))) {
      bulk.push({ name: 'mail', data });
      if (bulk.length < tuning.bulk) continue;
      add();
      if (adding.length >= AHEAD) await adding.shift();
    }
    if (bulk.length > 0) add();
    await Promise.all(adding);
  };
}

export async function consumer({ port, smtp, brief, tuning }, completed) {
  const { Worker } = await import('bullmq');
  const { createTransport } = await import('nodemailer');
  const pool = createTransport({
    url: smtp,
    pool: true,
    maxConnections: tuning.connections,
    maxMessages: Infinity,
  });
  const render = await renderer(brief);
  const worker = new Worker('bench', ({ data }) => pool.sendMail(render(data)).then(() => undefined), {
    connection: { host: '127.0.0.1', port, maxRetriesPerRequest: null },
    concurrency: tuning.concurrency,
    removeOnComplete: { count: 0 },
  });
  worker.on('completed', () => completed(1));
  worker.on('error', (error) => console.error(error.message));
  worker.on('failed', (_job, error) => console.error(`a mail failed: ${error.message}`));
  await worker.waitUntilReady();
}

/** Makes what `sendMail` is given for a recipient. */
async function renderer({ from, subject, html, text, replyTo, headers }) {
  const { Liquid } = await import('liquidjs');
  const markup = new Liquid({ outputEscape: 'escape' });
  const plain = new Liquid();
  const compiled = (engine, source) => {
    const parsed = engine.parse(source);
    return (recipient) => engine.renderSync(parsed, recipient);
  };
  const subjectOf = compiled(plain, subject);
  const htmlOf = compiled(markup, html);
  const textOf = compiled(plain, text);
  const headersOf = Object.entries(headers).map(([name, value]) => [name, compiled(plain, value)]);
  return (recipient) => ({
    from,
    to: { name: recipient.name, address: recipient.email },
    replyTo,
    subject: subjectOf(recipient),
    html: htmlOf(recipient),
    text: textOf(recipient),
    headers: Object.fromEntries(headersOf.map(([name, value]) => [name, value(recipient)])),
  });
}
