/** What the command line uses of the newsletter: the work, the stub, the check of a brief, sample data. */
export { checkBrief } from './brief.ts';
export { GENERATED_COLUMNS, generateRecipients } from './generate.ts';
export type { NewsletterOptions } from './index.ts';
export { newsletter } from './index.ts';
export type { SamplePaths } from './sample.ts';
export { sampleDir, samplePaths } from './sample.ts';
export type { SmtpStub, StubCounts, StubOptions } from './stub.ts';
export { startSmtpStub } from './stub.ts';
