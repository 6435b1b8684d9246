/** Makes the OpenAPI 3.1 document (spec.openapis.org/oas/v3.1.1) of the table of calls. */
import { ERRORS, type ErrorCode } from '../core/errors.ts';
import { ID, ref, SCHEMAS, type Schema, UNIT_NAME } from './httpSchemas.ts';
import { HEADERS, OPERATIONS, type Operation } from './operations.ts';

/** What any call may answer. */
const ANY: readonly ErrorCode[] = ['bad_request', 'not_found', 'too_large', 'master_unreachable', 'internal'];
const PROBLEM = 'application/problem+json';

const PATH_PARAMETERS: Record<string, Schema> = { id: ID, name: ID, unit: UNIT_NAME };
const ANSWER_HEADERS: Record<string, string> = {
  location: 'where it is',
  etag: 'of what is durable and shown',
  link: 'the next page, rel="next" (RFC 8288)',
};

export function openapiOf(version: string): Schema {
  const paths: Record<string, Record<string, Schema>> = {};
  for (const operation of OPERATIONS) {
    const path = operation.path.replaceAll(/:(\w+)/g, '{$1}');
    (paths[path] ??= {})[operation.method.toLowerCase()] = callOf(operation);
  }
  return {
    openapi: '3.1.1',
    info: {
      title: 'Gimmework',
      version,
      summary: 'Hands units of work to workers that ask for them, and counts each of them once.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    jsonSchemaDialect: 'https://json-schema.org/draft/2020-12/schema',
    servers: [{ url: '/' }],
    paths,
    components: { schemas: SCHEMAS },
  };
}

function callOf(operation: Operation): Schema {
  const { id, what, body, isBodyOptional } = operation;
  const parameters = parametersOf(operation);
  return {
    operationId: id,
    summary: what,
    ...(parameters.length > 0 && { parameters }),
    ...(body && { requestBody: { required: !isBodyOptional, content: contentOf(body) } }),
    responses: { ...answersOf(operation), ...problemsOf(operation) },
  };
}

function parametersOf({ path, query = {}, headers = [] }: Operation): Schema[] {
  const inPath = [...path.matchAll(/:(\w+)/g)].map(([, name = '']) => ({
    ...{ name, in: 'path', required: true, schema: PATH_PARAMETERS[name] ?? ID },
  }));
  const inQuery = Object.entries(query).map(([name, schema]) => ({
    ...{ name, in: 'query', schema },
  }));
  const inHead = headers.map((name) => ({
    ...{ name, in: 'header', description: HEADERS[name], schema: { type: 'string' } },
  }));
  return [...inPath, ...inQuery, ...inHead];
}

function answersOf({ answers }: Operation): Record<string, Schema> {
  const all: Record<string, Schema> = {};
  for (const [status, { what, type, schema, headers }] of Object.entries(answers)) {
    all[status] = {
      description: what,
      ...(headers && { headers: headersOf(headers) }),
      ...(type !== undefined && schema && { content: contentOf({ [type]: schema }) }),
    };
  }
  return all;
}

/** One answer for each status of the codes, naming them. */
function problemsOf({ codes, answers }: Operation): Record<string, Schema> {
  const all: Record<string, Schema> = {};
  for (const code of new Set([...codes, ...ANY])) {
    const status = String(ERRORS[code].status);
    if (status in answers) continue;
    const before = (all[status]?.['description'] as string | undefined) ?? '';
    const description = before === '' ? code : `${before}, ${code}`;
    all[status] = { description, content: contentOf({ [PROBLEM]: ref('Problem') }) };
  }
  return all;
}

function contentOf(types: Readonly<Record<string, Schema>>): Schema {
  return Object.fromEntries(Object.entries(types).map(([type, schema]) => [type, { schema }]));
}

function headersOf(names: readonly string[]): Schema {
  return Object.fromEntries(
    names.map((name) => [name, { description: ANSWER_HEADERS[name] ?? name, schema: { type: 'string' } }]),
  );
}
