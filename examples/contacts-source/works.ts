/** What the workers offer that send: the newsletter. They know nothing of the database. */
import { newsletter } from '../../works/newsletter/index.ts';

/** Address of the mail server. */
export const mail = newsletter({ smtp: process.env['CONTACTS_SMTP'] ?? '' });
