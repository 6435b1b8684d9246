/** The server that the works of `askingWorks.ts` ask: it notes each question, and answers as its test says. */
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import type { Answer } from '../fixtures/cluster/askingWorks.ts';

export type Asked = { step: string; n: number; value: string; pid: number; atMs: number };
/** What to answer; nothing: not before `open`. */
export type Judge = (asked: Asked, time: number) => Answer | undefined;

export class AskedServer {
  readonly all: Asked[] = [];
  readonly #judge: Judge;
  readonly #held: { asked: Asked; response: ServerResponse }[] = [];
  readonly #server: Server;
  #isOpen = false;

  private constructor(judge: Judge) {
    this.#judge = judge;
    this.#server = createServer((request, response) => {
      const query = new URL(request.url ?? '', 'http://localhost').searchParams;
      const [n, pid] = [Number(query.get('n')), Number(query.get('pid'))];
      const asked = {
        step: query.get('step') ?? '',
        n,
        value: query.get('value') ?? '',
        pid,
        atMs: Date.now(),
      };
      this.all.push(asked);
      const answer = this.#judge(asked, this.of(asked.step, n).length);
      if (answer || this.#isOpen) reply(response, answer ?? valueOf(asked));
      else this.#held.push({ asked, response });
    });
  }

  static async start(t: TestContext, judge: Judge): Promise<AskedServer> {
    const asked = new AskedServer(judge);
    await new Promise<void>((resolve) => {
      asked.#server.listen(0, '127.0.0.1', resolve);
    });
    t.after(() => {
      asked.#server.closeAllConnections();
      asked.#server.close();
    });
    return asked;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Questions of one step, of one unit where that is named. */
  of(step: string, n?: number): Asked[] {
    return this.all.filter((it) => it.step === step && (n === undefined || it.n === n));
  }

  /** Answers what was held back, and everything from now on. */
  open(): void {
    this.#isOpen = true;
    for (const { asked, response } of this.#held.splice(0)) reply(response, valueOf(asked));
  }
}

/** What a step finds: the same at each time. */
function valueOf({ step, n, value }: Asked): Answer {
  return { value: `${value}/${step} ${n}` };
}

function reply(response: ServerResponse, answer: Answer): void {
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify(answer));
}
