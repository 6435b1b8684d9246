/**
 * A part of a mail: a text or html body, encoded as it is rendered. Owns how a body is written in ASCII lines: as
 * quoted-printable (RFC 2045 §6.7), or as base64 where most of it would be escaped. Quoted-printable itself is
 * nodemailer's; owned here is that the fixed texts of a template go through it once, and not once per mail.
 *
 * W1: every line ends in CRLF and is at most 76 bytes long; every byte is ASCII. No server needs 8BITMIME.
 * W2: neither encoding ever holds `=_`, so the boundary occurs in no part.
 */
import { encode, wrap } from 'nodemailer/lib/qp';
import type { Output } from './template.ts';

export const BOUNDARY = '=_gimmework';

/** Base64 is 4/3 of its input, quoted-printable three bytes for each byte that is not ASCII. */
const QUOTED_SHARE_MAX = 1 / 6;
/** A text that quoted-printable leaves as it is, wherever in a line it stands. */
const VERBATIM = /^(?:[!-<>-~]|[ \t](?=[!-~]))*$/;

/** An encoded text, cut where a line of the mail may begin before it or go on behind it. */
type Piece =
  | { kind: 'within'; text: string }
  /** `lines` are whole and of their final length, each with its line break. */
  | { kind: 'across'; first: string; lines: string; last: string };

/** Collects one body; `end` gives it with its heading, from the boundary to its last line break. */
export type PartWriter = Output & { end(): string };

export class Part {
  readonly #heading: string;
  readonly #encoding: 'quoted-printable' | 'base64';
  /** The fixed texts of its template, encoded. */
  readonly #known = new Map<string, Piece>();

  /** `fixed` is what all bodies of this part have in common. */
  constructor(type: 'text/plain' | 'text/html', fixed: readonly string[]) {
    this.#encoding = encodingOf(fixed.join(''));
    if (this.#encoding === 'quoted-printable') for (const text of fixed) this.#known.set(text, pieceOf(text));
    this.#heading =
      `--${BOUNDARY}\r\nContent-Type: ${type}; charset=utf-8\r\n` +
      `Content-Transfer-Encoding: ${this.#encoding}\r\n\r\n`;
  }

  begin(): PartWriter {
    return this.#encoding === 'base64' ? new Base64(this.#heading) : new Quoted(this.#heading, this.#known);
  }
}

function encodingOf(fixed: string): 'quoted-printable' | 'base64' {
  const bytes = Buffer.byteLength(fixed);
  return bytes - fixed.length <= bytes * QUOTED_SHARE_MAX ? 'quoted-printable' : 'base64';
}

class Quoted implements PartWriter {
  readonly #known: ReadonlyMap<string, Piece>;
  #done: string;
  /** What has been written of the line under way, at any length. */
  #line = '';
  /** A CR was the last: a LF that follows belongs to the same line break. */
  #endsInCr = false;

  constructor(heading: string, known: ReadonlyMap<string, Piece>) {
    this.#done = heading;
    this.#known = known;
  }

  write(text: string): void {
    const cut = this.#endsInCr && text.startsWith('\n') ? text.slice(1) : text;
    this.#endsInCr = text.endsWith('\r');
    const known = this.#known.get(cut);
    if (known) this.#add(known);
    else if (VERBATIM.test(cut)) this.#line += cut;
    else this.#add(pieceOf(cut));
  }

  end(): string {
    return `${this.#done}${wrap(this.#line)}\r\n`;
  }

  #add(piece: Piece): void {
    if (piece.kind === 'within') {
      this.#line += piece.text;
      return;
    }
    this.#done += `${wrap(this.#line + piece.first)}\r\n${piece.lines}`;
    this.#line = piece.last;
  }
}

function pieceOf(text: string): Piece {
  const encoded = encode(Buffer.from(withCrlf(text)));
  const start = encoded.indexOf('\r\n');
  if (start < 0) return { kind: 'within', text: encoded };
  const end = encoded.lastIndexOf('\r\n') + 2;
  return {
    kind: 'across',
    first: encoded.slice(0, start),
    lines: wrap(encoded.slice(start + 2, end)),
    last: encoded.slice(end),
  };
}

class Base64 implements PartWriter {
  readonly #heading: string;
  #text = '';

  constructor(heading: string) {
    this.#heading = heading;
  }

  write(text: string): void {
    this.#text += text;
  }

  end(): string {
    const encoded = Buffer.from(withCrlf(this.#text)).toString('base64');
    return `${this.#heading}${encoded.replace(/.{76}/g, '$&\r\n')}\r\n`;
  }
}

function withCrlf(text: string): string {
  return text.replace(/\r?\n|\r/g, '\r\n');
}
