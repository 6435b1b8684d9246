/**
 * Render: makes one recipient's mail from the compiled brief. Owns the text part and the folding of
 * one-line fields; sending is the mailer's business. No outside effect.
 *
 * R1: whatever a recipient's fields hold, subject and headers stay one line each.
 */
import { compile } from 'html-to-text';
import { PermanentError } from '../../shared/core/work.ts';
import type { CompiledBrief, Sender } from './brief.ts';
import type { Recipient } from './recipient.ts';
import { displayName } from './recipient.ts';
import type { Template } from './template.ts';
import { TemplateFault } from './template.ts';

export type Mail = {
  from: Sender;
  /** Right side of the Message-ID. */
  domain: string;
  to: { name: string; address: string };
  replyTo: Sender | undefined;
  subject: string;
  html: string;
  text: string;
  headers: Record<string, string>;
};

/** Longest word of a header, in characters: a line of a mail ends at 998 bytes (RFC 5322 §2.1.1). */
const WORD_CHARS_MAX = 900;

const textFromHtml = compile({
  wordwrap: 78,
  selectors: [
    { selector: 'a', options: { hideLinkHrefIfSameAsText: true } },
    { selector: 'img', format: 'skip' },
    { selector: 'style', format: 'skip' },
  ],
});

/** Renders the mail of one recipient; a template that fails on this recipient's data is a PermanentError. */
export function render(recipient: Recipient, brief: CompiledBrief): Mail {
  const html = rendered('html', brief.html, recipient);
  const headers: Record<string, string> = {};
  for (const header of brief.headers) {
    const value = oneLine(`headers.${header.name}`, header.value, recipient);
    if (value !== '') headers[header.name] = value;
  }
  return {
    from: brief.from,
    domain: brief.domain,
    to: { name: displayName(recipient), address: recipient.email },
    replyTo: brief.replyTo,
    subject: oneLine('subject', brief.subject, recipient),
    html,
    text: brief.text === undefined ? textFromHtml(html) : rendered('text', brief.text, recipient),
    headers,
  };
}

function rendered(field: string, template: Template, recipient: Recipient): string {
  try {
    return template(recipient);
  } catch (error) {
    if (!(error instanceof TemplateFault)) throw error;
    throw new PermanentError(`template ${field}, ${error.message}`, { cause: error });
  }
}

/**
 * R1: line breaks and control characters become one space. A header is folded at its spaces, so its words
 * must fit a line.
 */
function oneLine(field: string, template: Template, recipient: Recipient): string {
  const text = rendered(field, template, recipient)
    .replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ')
    .trim();
  if (text.length > WORD_CHARS_MAX && text.split(' ').some((word) => word.length > WORD_CHARS_MAX)) {
    throw new PermanentError(`template ${field} renders to a word of more than ${WORD_CHARS_MAX} characters`);
  }
  return text;
}
