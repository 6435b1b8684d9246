/**
 * The HTTP face of a master: routes, bodies and answers. Owns the server and its sockets; decides
 * nothing about epics (`MasterApi` does) and keeps no bytes (`Spool` and `Briefs` do, by `submit.ts`).
 *
 * H1: every error leaves as a problem document with a code of the table, in one line, without a stack.
 * H2: nothing unknown in a request is ignored (`requests.ts`).
 * H3: closing ends within HTTP_CLOSE_GRACE_MS, whatever sockets are open.
 */
import { isUtf8 } from 'node:buffer';
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { Readable } from 'node:stream';
import {
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  type FastifyServerFactory,
  type FastifyServerOptions,
  fastify,
} from 'fastify';
import { GimmeError } from '../../shared/core/errors.ts';
import {
  BRIEF_BYTES_MAX,
  HTTP_CLOSE_GRACE_MS,
  HTTP_IDLE_MS,
  JSON_BODY_BYTES_MAX,
  KEY_CHARS_MAX,
  STEER_BODY_BYTES_MAX,
} from '../../shared/core/limits.ts';
import type { Log } from '../../shared/io/log.ts';
import type { EpicPage } from '../../shared/protocol/api.ts';
import { openapiOf } from '../../shared/protocol/openapi.ts';
import { headersTaken } from '../../shared/protocol/operations.ts';
import { epicOf, onlyEpicOf } from './epicNamed.ts';
import { checkMatch, etagOf, isNoneMatch, shownEpic } from './epicShown.ts';
import { serveEvents } from './events.ts';
import { addGatherRoutes } from './gatherRoutes.ts';
import { refuseLink } from './linkRefusal.ts';
import type { MasterMetrics } from './metrics.ts';
import { gimmeErrorOf, PROBLEM_TYPE, problemOf } from './problem.ts';
import {
  cancelBody,
  checkHeaders,
  epicParam,
  jsonFault,
  jsonRefusal,
  listQuery,
  noBody,
  noQuery,
  steerBody,
  workerParam,
} from './requests.ts';
import { ReturnAddresses } from './returnAddresses.ts';
import { type SubmitParts, submitJson, submitUpload } from './submit.ts';
import { addUnitRoutes } from './unitRoutes.ts';

export type HttpParts = SubmitParts & {
  log: Log;
  version: string;
  /** Serves `/metrics` where given, and is told of every answer. */
  metrics?: Pick<MasterMetrics, 'text' | 'contentType' | 'answered'>;
  /** The server to answer on, shared with the worker link; its own one by default. */
  server?: Server;
  /** Why no worker may come by `/v1/link`, where the link is not on this server. */
  noLink?: string;
};

/** A key in a path takes up to twelve characters for each of its own. */
const PARAM_CHARS_MAX = 12 * KEY_CHARS_MAX + 16;

/** Builds the server with all routes and `/v1/events`; it does not listen yet. `close` of the instance ends both. */
export function buildHttp(parts: HttpParts): FastifyInstance {
  const options: FastifyServerOptions = {
    logger: false,
    bodyLimit: JSON_BODY_BYTES_MAX,
    routerOptions: { maxParamLength: PARAM_CHARS_MAX },
    frameworkErrors: (error, request, reply) => void answerError(parts, error, request, reply),
    clientErrorHandler: answerBrokenRequest,
  };
  if (parts.server) options.serverFactory = ownServer(parts.server);
  const app: FastifyInstance = fastify(options);
  app.setErrorHandler((error, request, reply) => answerError(parts, error, request, reply));
  app.setNotFoundHandler((request, reply) => {
    const shown = `${request.method} ${request.url.split('?')[0]?.slice(0, 200)}`;
    return answerError(parts, new GimmeError('not_found', `there is no call ${shown}`), request, reply);
  });
  app.addHook('onRequest', async ({ method, routeOptions: { url }, headers }) =>
    checkHeaders(headers, headersTaken(method, url ?? '')),
  );
  app.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.url ?? 'none';
    parts.metrics?.answered(route, reply.statusCode, reply.elapsedTime / 1_000);
  });
  addParsers(app);
  addSubmitRoute(app, parts);
  addEpicRoutes(app, parts);
  addUnitRoutes(app, parts.api);
  addGatherRoutes(app, parts.api, parts.addresses ?? new ReturnAddresses());
  addBriefRoute(app, parts);
  addNodeRoutes(app, parts);
  closeInTime(app, parts);
  if (parts.noLink !== undefined) refuseLink(app.server, parts.noLink);
  return app;
}

/** Has Fastify answer on a server that already is. An upload may take as long as it takes; an idle connection stays. */
function ownServer(server: Server): FastifyServerFactory {
  return (handler) => {
    server.requestTimeout = 0;
    server.keepAliveTimeout = HTTP_IDLE_MS;
    return server.on('request', handler);
  };
}

function addParsers(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  const parse = jsonParser(app);
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) =>
    parse(request, body as Buffer, done),
  );
}

type Parsed = (error: Error | null, value?: unknown) => void;

/** Fastify's parser, which guards against prototype poisoning, with our checks before and our words after. */
function jsonParser(app: FastifyInstance): (request: FastifyRequest, body: Buffer, done: Parsed) => void {
  const parse = app.getDefaultJsonParser('error', 'error');
  return (request, body, done) => {
    const fault = jsonFault(body, isUtf8);
    if (fault) return done(fault);
    const text = body.toString();
    void parse(request, text, (error, value) => (error ? done(jsonRefusal(text)) : done(null, value)));
  };
}

/** The one call that takes a stream of records; the others refuse its media types. */
function addSubmitRoute(app: FastifyInstance, parts: HttpParts): void {
  app.register(async (scope) => {
    scope.addContentTypeParser(['text/csv', 'application/x-ndjson'], (_request, payload, done) =>
      done(null, payload),
    );
    scope.post('/v1/epics', async (request, reply) => {
      const epic =
        request.body instanceof Readable
          ? await submitUpload(parts, request, request.body)
          : await submitJson(parts, request);
      reply.code(202).header('location', epic.links.self);
      return shownEpic(epic, Date.now());
    });
  });
}

function addEpicRoutes(app: FastifyInstance, parts: HttpParts): void {
  const { api } = parts;
  app.get('/v1/epics', async (request, reply): Promise<EpicPage> => {
    const { cursor, limit, ...filter } = listQuery(request.query);
    const found = api.epics({
      ...filter,
      ...(cursor === undefined ? {} : { after: cursor }),
      limit: limit + 1,
    });
    const epics = found.slice(0, limit);
    const last = epics.at(-1);
    if (found.length <= limit || !last) return { epics };
    const query = new URLSearchParams({ ...filter, limit: String(limit), cursor: last.id });
    reply.header('link', `</v1/epics?${query.toString()}>; rel="next"`);
    return { epics, next: last.id };
  });

  app.get('/v1/epics/:id', async (request, reply) => {
    noQuery(request.query);
    const epic = epicOf(api, epicParam(request.params));
    const shown = shownEpic(epic, Date.now());
    if (epic.gather && epic.state === 'finished')
      return reply.code(303).header('location', `${epic.links.self}/result`).send(shown);
    const etag = etagOf(epic);
    reply.header('etag', etag);
    return isNoneMatch(request.headers['if-none-match'], etag) ? reply.code(304).send() : shown;
  });

  app.post('/v1/epics/:id/cancel', { bodyLimit: STEER_BODY_BYTES_MAX }, async (request) => {
    noQuery(request.query);
    const asked = epicParam(request.params);
    const reason = cancelBody(request.body);
    const epic = onlyEpicOf(api, asked);
    checkMatch(request.headers['if-match'], epic);
    return api.cancel(epic.id, reason);
  });

  app.patch('/v1/epics/:id', { bodyLimit: STEER_BODY_BYTES_MAX }, async (request) => {
    noQuery(request.query);
    const asked = epicParam(request.params);
    const { paused, reason = 'no reason was given' } = steerBody(request.body);
    const epic = onlyEpicOf(api, asked);
    checkMatch(request.headers['if-match'], epic);
    const { id } = epic;
    return paused ? api.pause(id, reason) : api.resume(id);
  });
}

/** Briefs are kept as the bytes that came, so the same file always has the same hash. */
function addBriefRoute(app: FastifyInstance, { briefs }: HttpParts): void {
  app.register(async (scope) => {
    const parse = jsonParser(scope);
    scope.removeContentTypeParser('application/json');
    scope.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) =>
      parse(request, body as Buffer, (error) => (error ? done(error) : done(null, body))),
    );
    scope.post('/v1/briefs', { bodyLimit: BRIEF_BYTES_MAX }, async (request, reply) => {
      noQuery(request.query);
      if (!Buffer.isBuffer(request.body))
        throw new GimmeError('bad_request', 'a brief is sent as application/json');
      const hash = await briefs.put(request.body);
      reply.code(201);
      return { hash };
    });
  });
}

function addNodeRoutes(app: FastifyInstance, parts: HttpParts): void {
  const { api, version } = parts;
  app.get('/v1/workers', async (request) => {
    noQuery(request.query);
    return { workers: api.workers() };
  });
  app.post('/v1/workers/:id/drain', { bodyLimit: STEER_BODY_BYTES_MAX }, async (request, reply) => {
    noQuery(request.query);
    noBody(request.body);
    const worker = api.drainWorker(workerParam(request.params));
    reply.code(202);
    return worker;
  });
  app.get('/v1/masters', async (request) => {
    noQuery(request.query);
    return { masters: api.masters() };
  });
  const { metrics } = parts;
  if (metrics) {
    app.get('/metrics', async (_request, reply) =>
      reply.type(metrics.contentType).send(await metrics.text()),
    );
  }
  app.get('/v1/openapi.json', async (request) => {
    noQuery(request.query);
    return openapiOf(version);
  });
  app.get('/healthz', async () => ({ status: 'ok', version }));
  app.get('/readyz', async (_request, reply) => {
    const readiness = api.readiness();
    if (readiness.ready) return { status: 'ready', master: api.id, version };
    reply.code(503);
    return { status: 'not ready', reason: readiness.reason };
  });
}

function answerError(
  { log }: HttpParts,
  thrown: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  const error = gimmeErrorOf(thrown);
  if (error.code === 'internal') {
    const { stack } = thrown instanceof Error ? thrown : new Error(String(thrown));
    log.error('request failed', { method: request.method, url: request.url, error: stack });
  }
  // An upload refused before its end is read to the end and thrown away, or its sender would see a reset.
  if (!request.raw.readableEnded) request.raw.resume();
  return reply.code(error.status).type(PROBLEM_TYPE).send(problemOf(error));
}

/** Answers bytes that are not HTTP. */
function answerBrokenRequest(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy();
  const body = JSON.stringify(problemOf(new GimmeError('bad_request', 'the request is not valid HTTP')));
  const head = ['HTTP/1.1 400 Bad Request', 'connection: close', `content-type: ${PROBLEM_TYPE}`];
  socket.end([...head, `content-length: ${Buffer.byteLength(body)}`, '', body].join('\r\n'));
}

/** H3: subscribers are told at once, answers under way get the grace, then sockets are cut. */
function closeInTime(app: FastifyInstance, { api, log }: HttpParts): void {
  const events = serveEvents({ server: app.server, api, log });
  const sockets = new Set<Socket>();
  app.server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  app.addHook('preClose', async () => {
    events.close();
    const cut = setTimeout(() => {
      for (const socket of sockets) socket.destroy();
    }, HTTP_CLOSE_GRACE_MS);
    cut.unref();
    app.server.once('close', () => clearTimeout(cut));
  });
}
