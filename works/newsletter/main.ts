/** What the command line uses of the newsletter: the work, the stub, the checks of a brief and of a list's columns, sample data. */
export { checkBrief } from './brief.ts';
export { checkColumns } from './columns.ts';
export { GENERATED_COLUMNS, generateRecipients } from './generate.ts';
export type { DkimOptions, NewsletterOptions } from './index.ts';
export { newsletter } from './index.ts';
export type { SamplePaths } from './sample.ts';
export { sampleDir, samplePaths } from './sample.ts';
export type { SmtpStub, StubCounts, StubOptions } from './stub.ts';
export { startSmtpStub } from './stub.ts';
