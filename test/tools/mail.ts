/** Mails for tests: rendered as the newsletter renders them, and read as a mail program reads them. */
import { type ParsedMail, simpleParser } from 'mailparser';
import { checkBrief } from '../../works/newsletter/brief.ts';
import { messageOf } from '../../works/newsletter/message.ts';
import { type Mail, render } from '../../works/newsletter/render.ts';
import { skeletonOf } from '../../works/newsletter/skeleton.ts';

const BRIEF = {
  from: 'News <news@example.com>',
  subject: 'Hello {{ name }}',
  html: '<p>Hello {{ name }}</p>',
};

/** Renders a mail; what a brief or a recipient does not say is a plain Hello to ann@example.com. */
export function mailOf(brief: object = {}, recipient: object = {}): Mail {
  const skeleton = skeletonOf(checkBrief({ ...BRIEF, ...brief }));
  return render({ email: 'ann@example.com', ...recipient }, skeleton);
}

/** A mail as it arrives. */
export function read(mail: Mail): Promise<ParsedMail> {
  return simpleParser(messageOf(mail, 'epic.7', new Date()), { skipTextToHtml: true, skipTextLinks: true });
}
