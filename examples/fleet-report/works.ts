/** What the workers offer: the gathers, and the newsletter, which sends the mail of a report. */
import { newsletter } from '../../works/newsletter/index.ts';

export { plain, reissued } from './gather.ts';

/** Address of the mail server. */
export const mail = newsletter({ smtp: process.env['FLEET_SMTP'] ?? '' });
