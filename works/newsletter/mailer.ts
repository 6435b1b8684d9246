/**
 * The mailer: a pool of SMTP sessions that mails go out over. Owns the connections, their timeouts
 * and the knowledge of how far a mail had come; what a failure means is `send.ts`.
 *
 * P1: a mail is handed to nodemailer once. Its pool never sends a mail again by itself; the mailer does,
 *     once, and only where a session was found dead before DATA was granted.
 * P2: `bodyEnded` is set before the final dot can be written, never after.
 * P3: the envelope is what the unit says, never what a header says.
 */
import { channel } from 'node:diagnostics_channel';
import { createTransport } from 'nodemailer';
import SMTPPool from 'nodemailer/lib/smtp-pool';
import { GimmeError } from '../../shared/core/errors.ts';
import { UnknownOutcomeError } from '../../shared/core/work.ts';
import { type DkimOptions, dkimSigner } from './dkim.ts';
import { MessageStream, messageOf } from './message.ts';
import type { Mail } from './render.ts';
import type { Passage } from './send.ts';
import { isStaleSession, oneLine, replyClass, sendFault } from './send.ts';
import type { SmtpServer } from './server.ts';
import { smtpServer } from './server.ts';

export type MailerTimeouts = {
  /** From the first packet to the connection. Defaults to 10 s. */
  connectMs: number;
  /** From the connection to the greeting. Defaults to 10 s. */
  greetingMs: number;
  /** Silence in a conversation. Defaults to 30 s. */
  silenceMs: number;
  /** Silence of a session without mail, before it says QUIT. Defaults to 20 s, under `silenceMs`. */
  idleMs: number;
  /** How long a start waits for the server, all in all. Defaults to 10 s. */
  verifyMs: number;
};

export type MailerOptions = {
  /** `smtp://` or `smtps://` URL, see `smtpServer`. */
  smtp: string;
  /** Sessions kept open at most. Defaults to 20. */
  connections?: number;
  timeouts?: Partial<MailerTimeouts>;
  /** Signs each mail. Defaults to no signature. */
  dkim?: DkimOptions | undefined;
};

export type Mailer = {
  /** `host:port`, for messages. */
  readonly server: string;
  /** Talks to the server up to the login; throws GimmeError `smtp_unreachable`. */
  verify(): Promise<void>;
  /**
   * Sends one mail. `id` is the left side of its Message-ID. Throws RetryableError, PermanentError or
   * UnknownOutcomeError; resolves only when the server said that it has the mail.
   */
  send(mail: Mail, id: string, signal: AbortSignal): Promise<void>;
  /** Closes all sessions; a mail still under way fails. */
  close(): void;
};

const TIMEOUTS: MailerTimeouts = {
  connectMs: 10_000,
  greetingMs: 10_000,
  silenceMs: 30_000,
  idleMs: 20_000,
  verifyMs: 10_000,
};
/** How long a closed session waits for the server's side to close. */
const CLOSE_MS = 1_000;
const CONNECTIONS = 20;

/** Told of each reply to a mail, `{ class: '2xx' }` and so on, for whoever counts them. */
const replies = channel('gimmework:smtp-reply');

/** What the pool reads of a mail that it is given. */
type Pooled = Parameters<SMTPPool['send']>[0];

/** Makes a mailer; connects with the first mail. Throws GimmeError `bad_config` for a bad URL or key. */
export function openMailer(options: MailerOptions): Mailer {
  const server = smtpServer(options.smtp);
  const timeouts = { ...TIMEOUTS, ...options.timeouts };
  const sign = options.dkim && dkimSigner(options.dkim);
  // The pool itself, without nodemailer's composer before it: the message is ready.
  const pool = new SMTPPool({
    ...connectionOf(server),
    connectionTimeout: timeouts.connectMs,
    greetingTimeout: timeouts.greetingMs,
    socketTimeout: timeouts.silenceMs,
    socketCloseTimeout: CLOSE_MS,
    maxConnections: options.connections ?? CONNECTIONS,
    maxMessages: Infinity,
    maxRequeues: 0,
    idleTimeout: timeouts.idleMs,
  });

  async function attempt(mail: Mail, bytes: Buffer, signal: AbortSignal, passage: Passage): Promise<void> {
    try {
      await handOver(pool, pooled(mail, bytes, signal, passage));
    } catch (error) {
      const reply = replyClass(error);
      if (reply !== undefined) replies.publish({ class: reply });
      throw error;
    }
    replies.publish({ class: '2xx' });
    if (!passage.bodyEnded) {
      // A server that says 250 to half a mail: whatever it has, it is not this mail.
      throw new UnknownOutcomeError(`${server.address} confirmed the mail before it had all of it`);
    }
  }

  return {
    server: server.address,
    verify: () => verify(server, timeouts.verifyMs),
    async send(mail, id, signal) {
      let passage = newPassage();
      try {
        const message = messageOf(mail, id, new Date());
        const bytes = Buffer.from(sign ? (await sign(message)) + message : message, 'latin1');
        try {
          await attempt(mail, bytes, signal, passage);
        } catch (error) {
          if (signal.aborted || !isStaleSession(error, passage)) throw error;
          passage = newPassage(); // P1
          await attempt(mail, bytes, signal, passage);
        }
      } catch (error) {
        if (error instanceof UnknownOutcomeError) throw error;
        throw sendFault(error, passage, server.address);
      }
    },
    close: () => pool.close({ force: true }),
  };
}

function connectionOf({ address: _, ...connection }: SmtpServer): Omit<SmtpServer, 'address'> {
  return connection;
}

function newPassage(): Passage {
  return { handedOver: false, bodyBegun: () => false, bodyEnded: false };
}

function handOver(pool: SMTPPool, mail: Pooled): Promise<void> {
  return new Promise((resolve, reject) => {
    pool.send(mail, (error) => (error ? reject(error) : resolve()));
  });
}

/** A message as the pool takes it, which notes in `passage` how far it is read. */
function pooled({ from, to }: Mail, bytes: Buffer, signal: AbortSignal, passage: Passage): Pooled {
  const message = {
    getEnvelope: () => ({ from, to: [to] }),
    getHeader: () => '',
    messageId: () => '',
    createReadStream() {
      const stream = new MessageStream(bytes);
      passage.handedOver = true;
      passage.bodyBegun = () => stream.readableDidRead;
      // P2: listens before the pipe does, whose own listener is what writes the dot.
      stream.once('end', () => {
        passage.bodyEnded = true;
      });
      return stream;
    },
  };
  return { data: { signal }, message } as unknown as Pooled;
}

async function verify(server: SmtpServer, withinMs: number): Promise<void> {
  const probe = createTransport({
    ...connectionOf(server),
    connectionTimeout: withinMs,
    greetingTimeout: withinMs,
    socketTimeout: withinMs,
    socketCloseTimeout: 0,
  });
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${withinMs / 1_000} s`)), withinMs);
  });
  try {
    await Promise.race([probe.verify(), late]);
  } catch (error) {
    throw unreachableServer(server.address, error);
  } finally {
    clearTimeout(timer);
  }
}

function unreachableServer(address: string, error: unknown): GimmeError {
  const { code, message } = error as { code?: unknown; message?: unknown };
  const said = oneLine(String(message));
  if (code === 'EAUTH') {
    return new GimmeError(
      'smtp_unreachable',
      `${address} refused the login; correct user and password of --smtp: ${said}`,
      { cause: error },
    );
  }
  const cure = 'start it, or name the right one by --smtp or GIMMEWORK_SMTP_URL';
  return new GimmeError('smtp_unreachable', `no SMTP server answers at ${address}; ${cure} (${said})`, {
    cause: error,
  });
}
