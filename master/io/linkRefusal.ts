/**
 * The answer to a worker that comes by WebSocket to a master whose link is another one: refused for good, with
 * the reason also as the reason phrase, which is what a worker can show. Without it the worker would wait for ever.
 */
import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { GimmeError } from '../../shared/core/errors.ts';
import { LINK_PATH } from '../../shared/io/bus/wsLink.ts';
import { PROBLEM_TYPE, problemOf } from './problem.ts';

/** Refuses every upgrade of the worker link's path. */
export function refuseLink(server: Server, why: string): void {
  const error = new GimmeError('link_refused', why);
  const body = JSON.stringify(problemOf(error));
  const answer = [
    `HTTP/1.1 ${error.status} ${why}`,
    'connection: close',
    `content-type: ${PROBLEM_TYPE}`,
    `content-length: ${Buffer.byteLength(body)}`,
    '',
    body,
  ].join('\r\n');
  server.on('upgrade', (request: IncomingMessage, socket: Duplex) => {
    if (request.url?.split('?')[0] !== LINK_PATH) return;
    // The HTTP server no longer hears this socket's errors once it handed it over.
    socket.on('error', () => socket.destroy());
    socket.once('finish', () => socket.destroy());
    socket.end(answer);
  });
}
