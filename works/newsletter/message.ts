/**
 * A message: the bytes of one mail as they go on the wire (RFC 5322). Owns its header lines, whose encoding is
 * nodemailer's, and the stream by which an SMTP session reads it; its parts are `part.ts`.
 *
 * W3: whatever a value holds, its header is one header: its lines but the first begin with a space.
 */
import { Readable } from 'node:stream';
import { foldLines } from 'nodemailer/lib/mime-funcs';
import MimeNode from 'nodemailer/lib/mime-node';
import type { Mail } from './render.ts';

export type Mailbox = { name: string; address: string };

const LINE_CHARS_MAX = 76;
const PIECE_BYTES = 64 * 1024;
/** What nodemailer would leave as it is. */
const PLAIN_TEXT = /^(?!.*=\?)[ !#-~]*$/;
const PLAIN_NAME = /^[\w ]+$/;
const PLAIN_ADDRESS = /^[\w.+-]+@[a-z0-9.-]+$/;
const encoder = new MimeNode(false);

/** A header with its line break, folded and encoded where it has to be; empty where its value is. */
export function headerLine(name: string, value: string): string {
  if (value.trim() === '') return '';
  const line = `${name}: ${value}`;
  if (line.length < LINE_CHARS_MAX && PLAIN_TEXT.test(value)) return `${line}\r\n`;
  return folded(name, encoder.encodeHeaderValue(name, value));
}

/** The same for a header that holds one mailbox. */
export function mailboxLine(name: string, { name: shown, address }: Mailbox): string {
  if (PLAIN_ADDRESS.test(address) && (shown === '' || PLAIN_NAME.test(shown))) {
    return folded(name, shown === '' ? address : `${shown} <${address}>`);
  }
  return folded(name, encoder.encodeHeaderValue(name, [{ name: shown, address }]));
}

function folded(name: string, encoded: string): string {
  return `${foldLines(`${name}: ${encoded}`, LINE_CHARS_MAX)}\r\n`;
}

/** A mail with what is known only when it is sent; `id` is the left side of its Message-ID. */
export function messageOf(mail: Mail, id: string, at: Date): string {
  const date = at.toUTCString().replace('GMT', '+0000');
  return `Date: ${date}\r\nMessage-ID: <${id}@${mail.domain}>\r\n${mail.message}`;
}

/**
 * A message as a stream. A large one is read piece by piece, each as there is room for it: given whole, it would
 * have been read to its end long before it is sent, and a connection lost on the way would leave it `unknown`.
 */
export class MessageStream extends Readable {
  readonly #bytes: Buffer;
  #read = 0;

  constructor(bytes: Buffer) {
    super();
    this.#bytes = bytes;
  }

  override _read(): void {
    const piece = this.#bytes.subarray(this.#read, this.#read + PIECE_BYTES);
    this.#read += piece.length;
    this.push(piece);
    if (this.#read >= this.#bytes.length) this.push(null);
  }
}
