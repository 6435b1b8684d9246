/**
 * The skeleton of an epic's mails: everything in them that a recipient cannot change, encoded once. Owns what a mail
 * is put together from, and how: its headers, then a text and an html part side by side (RFC 2046 §5.1.4).
 */
import type { CompiledBrief } from './brief.ts';
import { headerLine, mailboxLine } from './message.ts';
import { BOUNDARY, Part } from './part.ts';
import type { Template } from './template.ts';

export type Skeleton = {
  readonly from: string;
  /** Right side of every Message-ID. */
  readonly domain: string;
  /** Header lines that are the same in every mail. */
  readonly head: string;
  readonly subject: Template;
  /** The headers that differ. */
  readonly headers: CompiledBrief['headers'];
  readonly html: Template;
  readonly text: Template | undefined;
  readonly htmlPart: Part;
  readonly textPart: Part;
};

/** Longest word of a header, in characters: a line of a mail ends at 998 bytes (RFC 5322 §2.1.1). */
export const WORD_CHARS_MAX = 900;
const CLOSE = `--${BOUNDARY}--\r\n`;

/** Makes the skeleton of a brief's mails. */
export function skeletonOf(brief: CompiledBrief): Skeleton {
  const { from, domain, replyTo, subject, html, text, headers } = brief;
  let head = mailboxLine('From', from);
  if (replyTo) head += mailboxLine('Reply-To', replyTo);
  for (const { name, value } of headers.filter(isSame)) head += headerLine(name, oneLine(value.render({})));
  head += `MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary="${BOUNDARY}"\r\n`;
  return {
    from: from.address,
    domain,
    head,
    subject,
    headers: headers.filter((header) => !isSame(header)),
    html,
    text,
    htmlPart: new Part('text/html', html.fixed),
    textPart: new Part('text/plain', (text ?? html).fixed),
  };
}

/** Whether a header is the same in every mail; one that is too long for a line is left to fail the units. */
function isSame({ value }: Skeleton['headers'][number]): boolean {
  return value.isFixed && value.fixed.join('').length <= WORD_CHARS_MAX;
}

/** Puts a mail together from what is its own: header lines, and the two parts. */
export function assemble(skeleton: Skeleton, own: { head: string; text: string; html: string }): string {
  return `${own.head}${skeleton.head}\r\n${own.text}${own.html}${CLOSE}`;
}

/** Line breaks, control characters and spaces beside them become one space: no folded line holds nothing else. */
export function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\p{Zl}\p{Zp} ]+/gu, ' ').trim();
}
