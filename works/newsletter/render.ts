/**
 * Render: makes one recipient's mail from the skeleton, straight into its encoded form. Owns the text part and the
 * folding of one-line fields; sending is the mailer's business. No outside effect.
 *
 * R1: whatever a recipient's fields hold, subject and headers stay one line each.
 */
import { compile } from 'html-to-text';
import { PermanentError } from '../../shared/core/work.ts';
import { headerLine, mailboxLine } from './message.ts';
import type { Recipient } from './recipient.ts';
import { displayName } from './recipient.ts';
import { assemble, oneLine, type Skeleton, WORD_CHARS_MAX } from './skeleton.ts';
import { type Output, type Template, TemplateFault } from './template.ts';

export type Mail = {
  /** Addresses of the envelope. */
  from: string;
  to: string;
  /** Right side of the Message-ID. */
  domain: string;
  /** The message but for its Date and Message-ID: ASCII, in lines that end in CRLF. */
  message: string;
};

const textFromHtml = compile({
  wordwrap: 78,
  selectors: [
    { selector: 'a', options: { hideLinkHrefIfSameAsText: true } },
    { selector: 'img', format: 'skip' },
    { selector: 'style', format: 'skip' },
  ],
});

/** Renders the mail of one recipient; a template that fails on this recipient's data is a PermanentError. */
export function render(recipient: Recipient, skeleton: Skeleton): Mail {
  const html = skeleton.htmlPart.begin();
  const text = skeleton.textPart.begin();
  if (skeleton.text) {
    write('html', skeleton.html, recipient, html);
    write('text', skeleton.text, recipient, text);
  } else {
    const whole = rendered('html', skeleton.html, recipient);
    html.write(whole);
    text.write(textFromHtml(whole));
  }
  let head = mailboxLine('To', { name: displayName(recipient), address: recipient.email });
  head += headerLine('Subject', lineOf('subject', skeleton.subject, recipient));
  for (const { name, value } of skeleton.headers) {
    head += headerLine(name, lineOf(`headers.${name}`, value, recipient));
  }
  const message = assemble(skeleton, { head, text: text.end(), html: html.end() });
  return { from: skeleton.from, to: recipient.email, domain: skeleton.domain, message };
}

function rendered(field: string, template: Template, recipient: Recipient): string {
  return permanent(field, () => template.render(recipient));
}

function write(field: string, template: Template, recipient: Recipient, output: Output): void {
  permanent(field, () => template.renderTo(recipient, output));
}

function permanent<T>(field: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof TemplateFault)) throw error;
    throw new PermanentError(`template ${field}, ${error.message}`, { cause: error });
  }
}

/** R1: a header is folded at its spaces, so its words must fit a line. */
function lineOf(field: string, template: Template, recipient: Recipient): string {
  const text = oneLine(rendered(field, template, recipient));
  if (text.length > WORD_CHARS_MAX && text.split(' ').some((word) => word.length > WORD_CHARS_MAX)) {
    throw new PermanentError(`template ${field} renders to a word of more than ${WORD_CHARS_MAX} characters`);
  }
  return text;
}
