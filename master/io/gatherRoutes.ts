/**
 * The routes of gathers: ask one, wait for it, get its result or its raw answers. What a gather is and when it is over is
 * the master's.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { GimmeError } from '../../shared/core/errors.ts';
import { type EpicStatus, isOver } from '../../shared/protocol/api.ts';
import type { MasterApi } from './api.ts';
import { epicOf } from './epicNamed.ts';
import { shownEpic } from './epicShown.ts';
import { gatherBody, idempotencyKeyOf, resultsFormat, waitOf } from './gatherRequests.ts';
import { csvOf, failureOf, ndjsonOf, resultDocument } from './gatherResult.ts';
import { keyedId } from './idempotency.ts';
import { PROBLEM_TYPE } from './problem.ts';
import { epicParam, noQuery } from './requests.ts';
import type { ReturnAddresses } from './returnAddresses.ts';
import { Waiting } from './waiting.ts';

export function addGatherRoutes(
  app: FastifyInstance,
  api: MasterApi,
  addresses: Pick<ReturnAddresses, 'check'>,
): void {
  const waiting = new Waiting(api);
  app.addHook('preClose', async () => waiting.close());

  app.post('/v1/gathers/:name', async (request, reply) => {
    noQuery(request.query);
    const { name } = request.params as { name: string };
    const waitMs = waitOf(request.headers['prefer']);
    const key = idempotencyKeyOf(request.headers['idempotency-key']);
    const asked = gatherBody(name, request.body);
    if (asked.replyTo !== undefined) addresses.check(asked.replyTo);
    const epic = await api.gather({ ...asked, ...(key !== undefined && { id: keyedId(key) }) });
    reply.header('location', epic.links.self);
    if (waitMs !== undefined) {
      await waiting.until(epic.id, waitMs, goneOf(request, reply));
      const now = api.epic(epic.id) ?? epic;
      reply.header('preference-applied', `wait=${waitMs / 1_000}`);
      if (isOver(now.state))
        return sendResult(api, now, reply.header('content-location', `${now.links.self}/result`));
      return reply.code(202).send(shownEpic(now, Date.now()));
    }
    return reply.code(202).send(shownEpic(epic, Date.now()));
  });

  app.get('/v1/epics/:id/result', async (request, reply) => {
    noQuery(request.query);
    return sendResult(api, gatherOf(api, request), reply);
  });

  app.get('/v1/epics/:id/results', async (request, reply) => {
    const format = resultsFormat(request.query, request.headers.accept);
    const { id } = gatherOf(api, request);
    const answers = api.units.answers(id);
    if (format === 'csv') return reply.type('text/csv; charset=utf-8; header=present').send(csvOf(answers));
    return reply.type('application/x-ndjson').send(ndjsonOf(answers));
  });
}

function gatherOf(api: MasterApi, request: FastifyRequest): EpicStatus {
  const epic = epicOf(api, epicParam(request.params));
  if (epic.gather) return epic;
  throw new GimmeError('wrong_state', `epic ${epic.name} is no gather: what its units return is not kept`);
}

async function sendResult(api: MasterApi, epic: EpicStatus, reply: FastifyReply): Promise<FastifyReply> {
  if (!isOver(epic.state)) {
    const until = `it takes answers until ${epic.gather?.deadlineAt}`;
    throw new GimmeError(
      'wrong_state',
      `gather ${epic.name} is ${epic.state} and has no result yet; ${until}`,
    );
  }
  if (epic.state !== 'finished') {
    const problem = failureOf(epic);
    return reply.code(problem.status).type(PROBLEM_TYPE).send(problem);
  }
  const result = await api.result(epic.id);
  if (!result) throw new GimmeError('not_found', `the result of gather ${epic.name} is no longer kept`);
  const { bytes, body } = resultDocument(result);
  return reply.type('application/json').header('content-length', bytes).send(body);
}

/** Fires when who asked has gone. */
function goneOf(request: FastifyRequest, reply: FastifyReply): AbortSignal {
  const gone = new AbortController();
  const end = (): void => gone.abort();
  request.raw.socket.once('close', end);
  reply.raw.once('close', () => request.raw.socket.removeListener('close', end));
  return gone.signal;
}
