/** The tables of settings: one per daemon and one for the commands that talk to a master. */
import { THREADS_MAX } from '../shared/core/limits.ts';
import type { Settings } from '../shared/io/config.ts';
import { NATS } from './natsSettings.ts';

export const LOG = {
  logLevel: {
    kind: 'choice',
    flag: '--log-level <level>',
    env: 'GIMMEWORK_LOG_LEVEL',
    default: 'info',
    choices: ['debug', 'info', 'warn', 'error'],
    sentence: 'least level that is logged, on stderr',
  },
  logFormat: {
    kind: 'choice',
    flag: '--log-format <format>',
    env: 'GIMMEWORK_LOG_FORMAT',
    default: 'text',
    choices: ['text', 'json'],
    sentence: 'how a line of the log is written',
  },
} as const satisfies Settings;

export const CLIENT = {
  master: {
    kind: 'url',
    flag: '--master <url>',
    env: 'GIMMEWORK_MASTER',
    default: 'http://127.0.0.1:7171',
    schemes: ['http:', 'https:'],
    sentence: 'address of the master',
  },
  output: {
    kind: 'choice',
    flag: '-o, --output <format>',
    default: 'text',
    choices: ['text', 'json', 'jsonl'],
    sentence: 'form of the data on stdout',
  },
} as const satisfies Settings;

export const MASTER = {
  listen: {
    kind: 'listen',
    flag: '--listen <host:port>',
    env: 'GIMMEWORK_LISTEN',
    default: '127.0.0.1:7171',
    sentence: 'where HTTP and workers are served; port 0 takes any free one',
  },
  data: {
    kind: 'path',
    flag: '--data <dir>',
    env: 'GIMMEWORK_DATA',
    default: './gimmework-data',
    sentence: 'folder of uploads and briefs',
  },
  retention: {
    kind: 'duration',
    flag: '--retention <duration>',
    env: 'GIMMEWORK_RETENTION',
    default: '7d',
    min: 1_000,
    max: 3_650 * 24 * 3_600_000,
    sentence: 'how long an epic that is over is kept, with its failed units and its upload',
  },
  webhookSecretFile: {
    kind: 'path',
    flag: '--webhook-secret-file <file>',
    env: 'GIMMEWORK_WEBHOOK_SECRET_FILE',
    sentence: 'secrets that sign the webhooks of gathers (`replyTo`), whsec_…, one a line',
  },
  webhookAllow: {
    kind: 'texts',
    flag: '--webhook-allow <host:port...>',
    env: 'GIMMEWORK_WEBHOOK_ALLOW',
    sentence: 'targets of webhooks that need not be public addresses',
  },
  ...NATS,
  ...LOG,
} as const satisfies Settings;

export const WORKER = {
  works: {
    kind: 'texts',
    flag: '--works <module...>',
    env: 'GIMMEWORK_WORKS',
    required: true,
    sentence: 'modules whose exported works are offered, or the bundled `newsletter`',
  },
  master: {
    kind: 'url',
    flag: '--master <url>',
    env: 'GIMMEWORK_MASTER',
    default: 'ws://127.0.0.1:7171',
    schemes: ['ws:', 'wss:', 'http:', 'https:'],
    sentence: 'address of the master, where the link is not NATS',
  },
  slots: {
    kind: 'count',
    flag: '--slots <n>',
    env: 'GIMMEWORK_SLOTS',
    default: '16',
    min: 1,
    max: 10_000,
    sentence: 'units run at the same time',
  },
  threads: {
    kind: 'count',
    flag: '--threads <n>',
    env: 'GIMMEWORK_THREADS',
    min: 1,
    max: THREADS_MAX,
    sentence: 'threads for steps with `thread: true`; one less than there are cores by default',
  },
  label: {
    kind: 'labels',
    flag: '--label <key=value...>',
    env: 'GIMMEWORK_LABELS',
    sentence: 'labels of this worker',
  },
  name: {
    kind: 'name',
    flag: '--name <name>',
    env: 'GIMMEWORK_NAME',
    sentence: 'name that people see, and that gathers address',
  },
  smtp: {
    kind: 'url',
    flag: '--smtp <url>',
    env: 'GIMMEWORK_SMTP_URL',
    secret: true,
    schemes: ['smtp:', 'smtps:'],
    sentence: 'mail server of the newsletter; give a password by the environment',
  },
  smtpRetryFirst: {
    kind: 'duration',
    flag: '--smtp-retry-first <duration>',
    env: 'GIMMEWORK_SMTP_RETRY_FIRST',
    min: 1,
    max: 86_400_000,
    sentence: 'longest first wait after a mail was deferred; it grows from there',
  },
  dkimDomain: {
    kind: 'text',
    flag: '--dkim-domain <domain>',
    env: 'GIMMEWORK_DKIM_DOMAIN',
    sentence: 'domain that the newsletter is signed for (DKIM), with the two below; not signed by default',
  },
  dkimSelector: {
    kind: 'text',
    flag: '--dkim-selector <selector>',
    env: 'GIMMEWORK_DKIM_SELECTOR',
    sentence: 'under which the public key is found: `<selector>._domainkey.<domain>`',
  },
  dkimKeyFile: {
    kind: 'path',
    flag: '--dkim-key-file <file>',
    env: 'GIMMEWORK_DKIM_KEY_FILE',
    sentence: 'private key that signs, RSA in PEM',
  },
  metricsListen: {
    kind: 'listen',
    flag: '--metrics-listen <host:port>',
    env: 'GIMMEWORK_METRICS_LISTEN',
    sentence: 'where this worker serves /metrics; nowhere by default',
  },
  ...NATS,
  ...LOG,
} as const satisfies Settings;

export const SMTP_STUB = {
  listen: {
    kind: 'listen',
    flag: '--listen <host:port>',
    env: 'GIMMEWORK_STUB_LISTEN',
    default: '127.0.0.1:2525',
    sentence: 'where SMTP is served; port 0 takes any free one',
  },
  defer: { kind: 'share', flag: '--defer <share>', default: '2%', sentence: 'mails deferred at first (4xx)' },
  reject: {
    kind: 'share',
    flag: '--reject <share>',
    default: '1%',
    sentence: 'mails rejected for good (5xx)',
  },
  stall: { kind: 'share', flag: '--stall <share>', default: '0%', sentence: 'mails that get no answer' },
  dropReply: {
    kind: 'share',
    flag: '--drop-reply <share>',
    default: '0%',
    sentence: 'mails accepted with the reply lost after the body',
  },
  latency: {
    kind: 'duration',
    flag: '--latency <duration>',
    default: '0ms',
    max: 600_000,
    sentence: 'wait before each reply to a mail',
  },
  report: {
    kind: 'path',
    flag: '--report <file>',
    sentence: 'file that gets one JSON line per accepted mail',
  },
  output: CLIENT.output,
} as const satisfies Settings;

export const DEMO = {
  recipients: {
    kind: 'count',
    flag: '--recipients <n>',
    default: '10000',
    min: 1,
    max: 10_000_000,
    sentence: 'mails to send',
  },
  workers: {
    kind: 'count',
    flag: '--workers <n>',
    default: '2',
    min: 1,
    max: 64,
    sentence: 'worker processes',
  },
} as const satisfies Settings;
