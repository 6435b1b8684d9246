/**
 * The HTTP face of a master: routes, bodies and answers. Owns the server and its sockets; decides
 * nothing about epics (`MasterApi` does) and keeps no bytes (`Spool` and `Briefs` do).
 *
 * H1: an upload goes straight to the spool, chunk by chunk; what broke off or was refused leaves nothing.
 * H2: every error leaves as a problem document with a code of the table, in one line, without a stack.
 * H3: nothing unknown in a request is ignored (`requests.ts`).
 * H4: closing ends within HTTP_CLOSE_GRACE_MS, whatever sockets are open.
 */
import { isUtf8 } from 'node:buffer';
import { randomBytes } from 'node:crypto';
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
import { idFrom } from '../../shared/core/ids.ts';
import {
  BRIEF_BYTES_MAX,
  HTTP_CLOSE_GRACE_MS,
  JSON_BODY_BYTES_MAX,
  STEER_BODY_BYTES_MAX,
} from '../../shared/core/limits.ts';
import type { Log } from '../../shared/io/log.ts';
import type { EpicPage, EpicStatus, SubmitBody } from '../../shared/protocol/api.ts';
import type { SourceSpec } from '../core/source.ts';
import type { MasterApi } from './api.ts';
import type { Briefs } from './briefs.ts';
import { serveEvents } from './events.ts';
import { gimmeErrorOf, PROBLEM_TYPE, problemOf } from './problem.ts';
import {
  cancelBody,
  checkHeaders,
  epicParam,
  jsonFault,
  jsonRefusal,
  listQuery,
  noQuery,
  submitBody,
  submitQuery,
} from './requests.ts';
import type { Spool } from './spool.ts';

export type HttpParts = {
  api: MasterApi;
  spool: Pick<Spool, 'write' | 'remove'>;
  briefs: Pick<Briefs, 'put' | 'get'>;
  log: Log;
  version: string;
  /** The server to answer on, shared with the worker link; its own one by default. */
  server?: Server;
};

/** Builds the server with all routes and `/v1/events`; it does not listen yet. `close` of the instance ends both. */
export function buildHttp(parts: HttpParts): FastifyInstance {
  const options: FastifyServerOptions = {
    logger: false,
    bodyLimit: JSON_BODY_BYTES_MAX,
    routerOptions: { maxParamLength: 1_024 },
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
  app.addHook('onRequest', async (request) => checkHeaders(request.headers));
  addParsers(app);
  addEpicRoutes(app, parts);
  addBriefRoute(app, parts);
  addNodeRoutes(app, parts);
  closeInTime(app, parts);
  return app;
}

/** Has Fastify answer on a server that already is. An upload may take as long as it takes. */
function ownServer(server: Server): FastifyServerFactory {
  return (handler) => {
    server.requestTimeout = 0;
    return server.on('request', handler);
  };
}

function addParsers(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  const parse = jsonParser(app);
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) =>
    parse(request, body as Buffer, done),
  );
  app.addContentTypeParser(['text/csv', 'application/x-ndjson'], (_request, payload, done) =>
    done(null, payload),
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

function addEpicRoutes(app: FastifyInstance, { api, spool, briefs }: HttpParts): void {
  app.post('/v1/epics', async (request, reply) => {
    const epic =
      request.body instanceof Readable
        ? await submitUpload({ api, spool, briefs }, request, request.body)
        : await submitJson({ api, spool }, request);
    reply.code(202).header('location', epic.links.self);
    return { ...epic, status: epic.state };
  });

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

  app.get('/v1/epics/:id', async (request) => {
    noQuery(request.query);
    return epicOf(api, epicParam(request.params));
  });

  app.post('/v1/epics/:id/cancel', { bodyLimit: STEER_BODY_BYTES_MAX }, async (request) => {
    noQuery(request.query);
    const asked = epicParam(request.params);
    const reason = cancelBody(request.body);
    const epic = epicOf(api, asked);
    if (epic.id !== asked && api.named(asked) > 1) {
      throw new GimmeError('ambiguous_name', `${api.named(asked)} epics are named ${asked}; cancel by id`);
    }
    return api.cancel(epic.id, reason);
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

function addNodeRoutes(app: FastifyInstance, { api, version }: HttpParts): void {
  app.get('/v1/workers', async (request) => {
    noQuery(request.query);
    return { workers: api.workers() };
  });
  app.get('/v1/masters', async (request) => {
    noQuery(request.query);
    return { masters: api.masters() };
  });
  app.get('/healthz', async () => ({ status: 'ok', version }));
  app.get('/readyz', async (_request, reply) => {
    const readiness = api.readiness();
    if (readiness.ready) return { status: 'ready', master: api.id, version };
    reply.code(503);
    return { status: 'not ready', reason: readiness.reason };
  });
}

async function submitUpload(
  { api, spool, briefs }: Pick<HttpParts, 'api' | 'spool' | 'briefs'>,
  request: FastifyRequest,
  body: Readable,
): Promise<EpicStatus> {
  const { brief: hash, ...submit } = submitQuery(request.query);
  const format = formatOf(request.headers['content-type'] ?? '');
  const brief = hash === undefined ? null : await briefOf(briefs, hash);
  return spooled(spool, format, counted(body), (source) => api.submit({ ...submit, source, brief }));
}

async function submitJson(
  { api, spool }: Pick<HttpParts, 'api' | 'spool'>,
  request: FastifyRequest,
): Promise<EpicStatus> {
  noQuery(request.query);
  const { source, brief = null, ...submit } = submitBody(request.body);
  if (source.type === 'range') return api.submit({ ...submit, source, brief });
  return spooled(spool, 'ndjson', lines(source), (spec) => api.submit({ ...submit, source: spec, brief }));
}

/** H1: whatever fails, before or after the last byte, the spool is removed again. */
async function spooled(
  spool: HttpParts['spool'],
  format: 'csv' | 'ndjson',
  body: AsyncIterable<Uint8Array>,
  submit: (source: SourceSpec) => Promise<EpicStatus>,
): Promise<EpicStatus> {
  const id = idFrom(randomBytes(15));
  try {
    return await submit(await spool.write(format, body, id));
  } catch (error) {
    await spool.remove(id);
    throw error;
  }
}

/** The body of an upload; one that breaks off ends in an error that names how far it came. */
async function* counted(body: Readable): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  try {
    for await (const chunk of body) {
      bytes += (chunk as Uint8Array).length;
      yield chunk as Uint8Array;
    }
  } catch (cause) {
    const message = `the upload broke off after ${bytes} bytes; nothing was submitted, send it again`;
    throw new GimmeError('bad_source', message, { cause });
  }
}

async function* lines(source: Extract<SubmitBody['source'], { type: 'units' }>): AsyncGenerator<Uint8Array> {
  for (const unit of source.units) yield Buffer.from(`${JSON.stringify(unit)}\n`);
}

function formatOf(contentType: string): 'csv' | 'ndjson' {
  const charset = /;\s*charset="?([^";\s]+)/i.exec(contentType)?.[1]?.toLowerCase() ?? 'utf-8';
  if (!['utf-8', 'utf8', 'us-ascii'].includes(charset)) {
    throw new GimmeError(
      'bad_request',
      'Content-Type has a charset other than utf-8; send the file as UTF-8',
    );
  }
  return /^\s*text\/csv/i.test(contentType) ? 'csv' : 'ndjson';
}

async function briefOf(briefs: HttpParts['briefs'], hash: string): Promise<unknown> {
  let bytes: Buffer;
  try {
    bytes = await briefs.get(hash);
  } catch (cause) {
    const unknown =
      (cause as { code?: unknown }).code === 'not_found' || (cause as { code?: unknown }).code === 'ENOENT';
    if (!unknown) throw cause;
    throw new GimmeError('bad_request', `field brief: no brief ${hash} here; POST it to /v1/briefs first`, {
      cause,
    });
  }
  return JSON.parse(bytes.toString());
}

function epicOf(api: MasterApi, idOrName: string): EpicStatus {
  const epic = api.epic(idOrName);
  if (!epic) throw new GimmeError('not_found', `no epic has the id or name ${idOrName}`);
  return epic;
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

/** H4: subscribers are told at once, answers under way get the grace, then sockets are cut. */
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
