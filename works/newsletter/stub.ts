/**
 * The SMTP stub: a mail server to try a newsletter on. It holds a real SMTP conversation, keeps no mail,
 * and counts what it accepted, so that a run can prove that nobody got a mail twice.
 * Owns the faults it plays and the count; the conversation is smtp-server's.
 *
 * K1: a mail is its Message-ID and recipients. The same mail meets the same fate at every run with the
 *     same seed, whatever the order of arrival.
 * K2: memory per mail is one number, whatever the mail's size: bodies are read and dropped.
 * K3: what was counted as accepted is in the report, each line once, when `close` has resolved.
 */
import { createHash } from 'node:crypto';
import type { AddressInfo, Socket } from 'node:net';
import type { SMTPServerDataStream, SMTPServerOptions } from 'smtp-server';
import { SMTPServer } from 'smtp-server';
import { GimmeError } from '../../shared/core/errors.ts';
import { openReport } from './report.ts';
import type { StubCounts } from './tally.ts';
import { Tally } from './tally.ts';

export type { StubCounts } from './tally.ts';

export type StubOptions = {
  /** Defaults to 127.0.0.1:2525; port 0 takes a free one. */
  listen?: { host: string; port: number };
  /** Share of mails (0 to 1) answered 451 the first time and accepted the next. Defaults to 0.02. */
  defer?: number;
  /** Share of mails answered 550 every time. Defaults to 0.01. */
  reject?: number;
  /** Share of mails that are never answered. Defaults to 0. */
  stall?: number;
  /** Share of mails accepted without a reply: the connection is cut after the final dot. Defaults to 0. */
  dropReply?: number;
  /** Pause before the reply to each mail. Defaults to 0. */
  latencyMs?: number;
  /** Decides with the Message-ID which mails meet which fate. Defaults to 1. */
  seed?: number;
  /** File that gets a JSON line per accepted mail: id, to, at and n, how often it was accepted by then. */
  report?: string;
};

export type SmtpStub = {
  readonly address: string;
  readonly port: number;
  counts(): StubCounts;
  /** Cuts all connections and completes the report. */
  close(): Promise<void>;
};

const MAIL_BYTES_MAX = 25 * 1024 * 1024;
const HEAD_BYTES_MAX = 64 * 1024;
const CLIENTS_MAX = 10_000;
/** Longer than any client waits: a stalled mail ends when the client gives up. */
const SILENCE_MS = 30 * 60_000;

type Fate = 'accept' | 'defer' | 'reject' | 'stall' | 'drop-reply';
type Shares = { defer: number; reject: number; stall: number; dropReply: number };
/** Answers the final dot: with an error's code and text, or 250. */
type Reply = (error?: Error) => void;

/** Starts a stub; throws GimmeError `usage` for shares out of range, `port_taken` for a port in use. */
export async function startSmtpStub(options: StubOptions = {}): Promise<SmtpStub> {
  const { defer = 0.02, reject = 0.01, stall = 0, dropReply = 0, latencyMs = 0, seed = 1 } = options;
  const shares = checkShares({ defer, reject, stall, dropReply });
  const report = options.report === undefined ? undefined : await openReport(options.report);
  const tally = new Tally();
  const sockets = new Map<string, Socket>();

  async function answer(id: string, to: string, peer: string, reply: Reply): Promise<void> {
    if (latencyMs > 0) await new Promise((resolve) => setTimeout(resolve, latencyMs));
    const { key, lot } = identify(seed, id, to);
    const fate = fateOf(lot, shares);
    if (fate === 'reject') {
      tally.rejected++;
      return reply(refusal(550, 'No such mailbox here'));
    }
    if (fate === 'stall') {
      tally.stalled++;
      return;
    }
    if (fate === 'defer' && tally.isFirstDeferral(key)) return reply(refusal(451, 'Try again later'));
    const n = tally.accept(key);
    await report?.write(JSON.stringify({ id, to, at: new Date().toISOString(), n }));
    if (fate !== 'drop-reply' || n > 1) return reply();
    tally.droppedReplies++;
    sockets.get(peer)?.destroy();
  }

  const server = new SMTPServer({
    ...SETTINGS,
    onData(stream, session, callback) {
      readHead(stream, (head) => {
        if (stream.sizeExceeded) return callback(refusal(552, `Over ${MAIL_BYTES_MAX} bytes`));
        const id = messageIdIn(head) ?? `without-message-id-${tally.nextAnonymous()}`;
        const to = session.envelope.rcptTo.map((rcpt) => rcpt.address).join(',');
        answer(id, to, peerOf(session), callback).catch(callback);
      });
    },
  });
  // Clients that vanish in mid-conversation are part of the play.
  server.on('error', () => {});
  server.server.on('connection', (socket: Socket) => {
    const peer = peerOf(socket);
    sockets.set(peer, socket);
    socket.once('close', () => sockets.delete(peer));
  });
  const bound = await listen(server, options.listen ?? { host: '127.0.0.1', port: 2525 });
  return {
    ...bound,
    counts: () => tally.counts(),
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets.values()) socket.destroy();
      await closed;
      await report?.close(JSON.stringify({ summary: tally.counts() }));
    },
  };
}

const SETTINGS: SMTPServerOptions = {
  name: 'smtp-stub',
  disabledCommands: ['AUTH', 'STARTTLS'],
  disableReverseLookup: true,
  logger: false,
  maxClients: CLIENTS_MAX,
  size: MAIL_BYTES_MAX,
  socketTimeout: SILENCE_MS,
};

function checkShares(shares: Shares): Shares {
  let sum = 0;
  for (const [name, share] of Object.entries(shares)) {
    if (!(share >= 0 && share <= 1))
      throw new GimmeError('usage', `${name} must be a share from 0 to 1, not ${share}`);
    sum += share;
  }
  if (sum > 1)
    throw new GimmeError('usage', 'defer, reject, stall and dropReply together must not be over 1');
  return shares;
}

function listen(
  server: SMTPServer,
  at: { host: string; port: number },
): Promise<{ address: string; port: number }> {
  return new Promise((resolve, reject) => {
    server.server.once('error', (error: NodeJS.ErrnoException) => {
      const where = `${at.host}:${at.port}`;
      if (error.code !== 'EADDRINUSE')
        return reject(new GimmeError('usage', `cannot listen on ${where}: ${error.message}`));
      reject(
        new GimmeError('port_taken', `${where} is taken; stop what listens there or choose another --listen`),
      );
    });
    server.listen(at.port, at.host, () => {
      const { address, port } = server.server.address() as AddressInfo;
      resolve({ address, port });
    });
  });
}

function peerOf(end: { remoteAddress?: string | undefined; remotePort?: number | undefined }): string {
  return `${end.remoteAddress?.replace(/^::ffff:/, '')}:${end.remotePort}`;
}

function refusal(responseCode: number, text: string): Error {
  return Object.assign(new Error(text), { responseCode });
}

/**
 * K1: 53 bits of a hash name the mail (two among five million mails meet once in seven hundred runs),
 * other 32 bits of it draw its lot, from 0 to 1.
 */
function identify(seed: number, id: string, to: string): { key: number; lot: number } {
  const hash = createHash('sha1').update(`${seed}\n${id}\n${to}`).digest();
  const key = (hash.readUInt32BE(4) & 0x1fffff) * 2 ** 32 + hash.readUInt32BE(8);
  return { key, lot: hash.readUInt32BE(0) / 2 ** 32 };
}

function fateOf(lot: number, shares: Shares): Fate {
  let edge = shares.reject;
  if (lot < edge) return 'reject';
  if (lot < (edge += shares.defer)) return 'defer';
  if (lot < (edge += shares.dropReply)) return 'drop-reply';
  return lot < edge + shares.stall ? 'stall' : 'accept';
}

/** Reads a mail to its end and keeps only its head (K2); never calls back for a mail that was cut off. */
function readHead(stream: SMTPServerDataStream, done: (head: string) => void): void {
  let head = '';
  let complete = false;
  stream.on('data', (chunk: Buffer) => {
    if (complete) return;
    head += chunk.toString('latin1', 0, HEAD_BYTES_MAX - head.length);
    const end = head.indexOf('\r\n\r\n');
    if (end >= 0) head = head.slice(0, end);
    complete = end >= 0 || head.length >= HEAD_BYTES_MAX;
  });
  stream.once('end', () => done(head));
}

function messageIdIn(head: string): string | undefined {
  return /^message-id:\s*<?([^<>\s]+)>?/im.exec(head)?.[1];
}
