/**
 * A mail server that follows a script: at each stage of the conversation it answers, keeps silent, closes
 * or resets as it is told. For the faults that no well-kept server plays.
 */
import { once } from 'node:events';
import type { AddressInfo, Server, Socket } from 'node:net';
import { createServer } from 'node:net';

export type Stage =
  | 'connect'
  | 'ehlo'
  | 'starttls'
  | 'auth'
  | 'mail'
  | 'rcpt'
  | 'data'
  | 'body'
  | 'dot'
  | 'rset'
  | 'quit';

export type Act =
  /** The reply, CRLF added. */
  | { reply: string }
  /** Bytes as they are, then the end of the connection. */
  | { cut: string }
  | { silence: true }
  | { reset: true };

/** What to do at a stage; nothing said means the usual. `session` and `mail` count from 1. */
export type Script = (stage: Stage, session: number, mail: number) => Act | undefined;

export type ScriptedServer = {
  readonly url: string;
  readonly address: string;
  /** Bodies that ended with the final dot, whatever the answer was. */
  readonly bodies: string[];
  readonly sessions: Socket[];
  /** Resolves when the stage is reached for the `nth` time, counted over all sessions. */
  reached(stage: Stage, nth?: number): Promise<void>;
  close(): Promise<void>;
};

const USUAL: Record<Stage, string> = {
  connect: '220 script ESMTP',
  ehlo: '250 script',
  starttls: '502 no TLS here',
  auth: '235 welcome',
  mail: '250 sender ok',
  rcpt: '250 recipient ok',
  data: '354 go on',
  body: '',
  dot: '250 accepted',
  rset: '250 reset',
  quit: '221 bye',
};

export async function scriptedServer(
  script: Script = () => undefined,
  extensions: string[] = [],
): Promise<ScriptedServer> {
  const bodies: string[] = [];
  const sessions: Socket[] = [];
  const counts = new Map<Stage, number>();
  const waiting: { stage: Stage; nth: number; resolve: () => void }[] = [];
  let mails = 0;

  function reach(stage: Stage, session: number): Act | undefined {
    if (stage === 'mail') mails++;
    const nth = (counts.get(stage) ?? 0) + 1;
    counts.set(stage, nth);
    const act = script(stage, session, mails);
    setImmediate(() => {
      for (const wait of waiting) if (wait.stage === stage && wait.nth <= nth) wait.resolve();
    });
    return act;
  }

  const server: Server = createServer((socket) => {
    sessions.push(socket);
    converse(socket, sessions.length);
  });

  function converse(socket: Socket, session: number): void {
    let input = '';
    let mode: 'commands' | 'body to come' | 'body' = 'commands';
    let silent = false;
    let recipients = false;
    const perform = (stage: Stage, usual = USUAL[stage]): boolean => {
      const act: Act = reach(stage, session) ?? { reply: usual };
      if ('silence' in act) {
        silent = true;
        socket.pause();
      } else if ('reset' in act) {
        silent = true;
        socket.resetAndDestroy();
      } else if ('cut' in act) {
        silent = true;
        socket.end(act.cut);
      } else if (act.reply !== '') {
        socket.write(`${act.reply}\r\n`);
      }
      if (stage === 'rcpt') recipients = 'reply' in act && act.reply.startsWith('2');
      return !silent && 'reply' in act && act.reply.startsWith('3');
    };
    const greeting = ['250-script', ...extensions.map((extension) => `250-${extension}`), '250 HELP'].join(
      '\r\n',
    );
    /** Handles one command or one whole body of the input; false when there is none. */
    const step = (): boolean => {
      if (silent) return false;
      if (mode !== 'commands') {
        const end = `\r\n${input}`.indexOf('\r\n.\r\n');
        if (end < 0) return false;
        bodies.push(input.slice(0, end));
        input = input.slice(end + 3);
        mode = 'commands';
        perform('dot');
        return true;
      }
      const end = input.indexOf('\r\n');
      if (end < 0) return false;
      const stage = stageOf(input.slice(0, end));
      input = input.slice(end + 2);
      if (stage === undefined) socket.write('500 what\r\n');
      else if (stage === 'ehlo') perform(stage, greeting);
      else if (stage === 'quit') socket.end('221 bye\r\n');
      else if (stage === 'data' && !recipients) socket.write('503 no recipients\r\n');
      else if (perform(stage) && stage === 'data') mode = 'body to come';
      return true;
    };
    socket.setEncoding('latin1');
    socket.on('error', () => {});
    socket.on('data', (chunk: string) => {
      if (silent) return;
      if (mode === 'body to come') {
        mode = 'body';
        perform('body');
      }
      input += chunk;
      while (step());
    });
    perform('connect');
  }

  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `smtp://127.0.0.1:${port}`,
    address: `127.0.0.1:${port}`,
    bodies,
    sessions,
    reached(stage, nth = 1) {
      return new Promise((resolve) => {
        if ((counts.get(stage) ?? 0) >= nth) resolve();
        else waiting.push({ stage, nth, resolve });
      });
    },
    async close() {
      for (const socket of sessions) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

function stageOf(line: string): Stage | undefined {
  const verb = line.split(/[ :]/, 1)[0]?.toLowerCase();
  if (verb === 'helo') return 'ehlo';
  const stages: Stage[] = ['ehlo', 'starttls', 'auth', 'mail', 'rcpt', 'data', 'rset', 'quit'];
  return stages.find((stage) => stage === verb);
}
