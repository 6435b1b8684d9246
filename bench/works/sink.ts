/**
 * A mail server for benchmarks, in a process of its own: it takes every mail and counts it, in some 20 µs a mail, so
 * that what is measured is who sends. It speaks as much SMTP as clients that know what they do. Once it was told to
 * stop, it prints its counts; a mail is known again by its Message-ID.
 */
import type { AddressInfo, Socket } from 'node:net';
import { createServer } from 'node:net';
import { stopped } from '../../cli/signals.ts';

const MAIL_END = '\r\n.\r\n';
const HEAD_BYTES_MAX = 8 * 1024;

const seen = new Set<string>();
let accepted = 0;

function take(mail: Buffer): void {
  const head = mail.toString('latin1', 0, HEAD_BYTES_MAX);
  accepted += 1;
  seen.add(/^message-id:\s*(\S+)/im.exec(head)?.[1] ?? `without an id ${accepted}`);
}

function serve(socket: Socket): void {
  let left: Buffer = Buffer.alloc(0);
  let isMail = false;
  socket.setNoDelay(true);
  socket.on('error', () => {});
  socket.write('220 sink ESMTP\r\n');
  socket.on('data', (chunk) => {
    left = left.length === 0 ? chunk : Buffer.concat([left, chunk]);
    let replies = '';
    for (;;) {
      const end = left.indexOf(isMail ? MAIL_END : '\r\n');
      if (end < 0) break;
      if (isMail) {
        take(left.subarray(0, end));
        left = left.subarray(end + MAIL_END.length);
        isMail = false;
        replies += '250 taken\r\n';
        continue;
      }
      const verb = left.toString('latin1', 0, 4).toUpperCase();
      left = left.subarray(end + 2);
      isMail = verb === 'DATA';
      replies += replyTo(verb);
      if (verb === 'QUIT') return void socket.end(replies);
    }
    if (replies !== '') socket.write(replies);
  });
}

function replyTo(verb: string): string {
  if (verb === 'EHLO') return '250-sink\r\n250-PIPELINING\r\n250 8BITMIME\r\n';
  if (verb === 'DATA') return '354 go on\r\n';
  return verb === 'QUIT' ? '221 bye\r\n' : '250 ok\r\n';
}

const stop = stopped();
const server = createServer(serve);
server.listen(0, '127.0.0.1', () => {
  const { address, port } = server.address() as AddressInfo;
  console.log(JSON.stringify({ listening: { address, port } }));
});
await stop;
const distinct = seen.size;
console.log(JSON.stringify({ counts: { accepted, distinct, duplicates: accepted - distinct } }));
process.exit(0);
