/**
 * A message: the bytes of one mail as they go on the wire (RFC 5322), a text and an html part side by side.
 * Header encoding and quoted-printable are nodemailer's; owned here is how the two parts are put together.
 * nodemailer would stream each part through several transforms, at three times the cost of a whole send.
 *
 * W1: every line ends in CRLF and is at most 998 bytes long; every byte is ASCII. No server needs 8BITMIME.
 * W2: the boundary occurs in no part.
 */
import MimeNode from 'nodemailer/lib/mime-node';
import { encode, wrap } from 'nodemailer/lib/qp';
import type { Mail } from './render.ts';

/** Quoted-printable and base64 never hold `=_` (RFC 2045 §6.7), plain parts are searched for it (W2). */
const BOUNDARY = '=_gimmework';
const LINE_BYTES_MAX = 998;
/** Base64 is 4/3 of its input, quoted-printable three bytes for each byte that is not ASCII. */
const QUOTED_SHARE_MAX = 1 / 6;
const TYPE = `multipart/alternative; boundary="${BOUNDARY}"`;

/** Composes a mail. `messageId` is given with its angle brackets. */
export function composeMessage(mail: Mail, messageId: string): Buffer {
  const head = new MimeNode(TYPE, { baseBoundary: BOUNDARY });
  head.setHeader('From', [mail.from]);
  head.setHeader('To', [mail.to]);
  if (mail.replyTo !== undefined) head.setHeader('Reply-To', [mail.replyTo]);
  head.setHeader('Subject', mail.subject);
  head.setHeader('Message-ID', messageId);
  for (const [name, value] of Object.entries(mail.headers)) head.setHeader(name, value);
  const parts = part('text/plain', mail.text) + part('text/html', mail.html);
  return Buffer.from(`${head.buildHeaders()}\r\n\r\n${parts}--${BOUNDARY}--\r\n`, 'latin1');
}

function part(type: string, source: string): string {
  const content = source.replace(/\r?\n|\r/g, '\r\n');
  const { encoding, body } = encoded(content);
  const head = `Content-Type: ${type}; charset=utf-8\r\nContent-Transfer-Encoding: ${encoding}`;
  return `--${BOUNDARY}\r\n${head}\r\n\r\n${body}\r\n`;
}

/** W1: the plainest encoding that holds the content. */
function encoded(content: string): { encoding: string; body: string } {
  if (isPlain(content)) return { encoding: '7bit', body: content };
  const bytes = Buffer.from(content);
  if (bytes.length - content.length < bytes.length * QUOTED_SHARE_MAX) {
    return { encoding: 'quoted-printable', body: wrap(encode(bytes)) };
  }
  return { encoding: 'base64', body: bytes.toString('base64').replace(/.{76}/g, '$&\r\n') };
}

function isPlain(content: string): boolean {
  if (/[^\t\r\n\x20-\x7e]/.test(content) || content.includes(BOUNDARY)) return false;
  let start = 0;
  while (start + LINE_BYTES_MAX < content.length) {
    const end = content.indexOf('\r\n', start);
    if ((end < 0 ? content.length : end) - start > LINE_BYTES_MAX) return false;
    if (end < 0) break;
    start = end + 2;
  }
  return true;
}
