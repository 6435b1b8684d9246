/** The routes about single units of an epic: list, failures, story, retry. */
import type { FastifyInstance } from 'fastify';
import { STEER_BODY_BYTES_MAX } from '../../shared/core/limits.ts';
import type { UnitPage } from '../../shared/protocol/api.ts';
import type { MasterApi } from './api.ts';
import { epicOf, onlyEpicOf } from './epicNamed.ts';
import { checkMatch } from './epicShown.ts';
import { epicParam, noQuery, retryBody, unitParam, unitsQuery } from './requests.ts';

export function addUnitRoutes(app: FastifyInstance, api: MasterApi): void {
  app.get('/v1/epics/:id/units', async (request, reply): Promise<UnitPage> => {
    const filter = unitsQuery(request.query);
    const { id } = epicOf(api, epicParam(request.params));
    const page = await api.units.page(id, filter);
    if (page.next === undefined) return page;
    const { state, code, key, limit } = filter;
    const query = new URLSearchParams({ limit: String(limit), cursor: page.next });
    for (const [name, value] of Object.entries({ state, code, key })) {
      if (value !== undefined) query.set(name, value);
    }
    reply.header('link', `</v1/epics/${id}/units?${query.toString()}>; rel="next"`);
    return page;
  });

  app.get('/v1/epics/:id/failures', async (request) => {
    noQuery(request.query);
    return { failures: await api.units.failures(epicOf(api, epicParam(request.params)).id) };
  });

  app.get('/v1/epics/:id/units/:unit', async (request) => {
    noQuery(request.query);
    const unit = unitParam(request.params);
    return api.units.story(epicOf(api, epicParam(request.params)).id, unit);
  });

  app.post('/v1/epics/:id/retry', { bodyLimit: STEER_BODY_BYTES_MAX }, async (request, reply) => {
    noQuery(request.query);
    const body = retryBody(request.body);
    const epic = onlyEpicOf(api, epicParam(request.params));
    checkMatch(request.headers['if-match'], epic);
    const answer = await api.units.retry(epic.id, body);
    if (answer.epic) reply.code(202).header('location', answer.epic.links.self);
    return answer;
  });
}
