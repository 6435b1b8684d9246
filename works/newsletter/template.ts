/**
 * Templates of a newsletter: Liquid, compiled once per brief and rendered per recipient.
 * Owns the two engines, their limits and the wording of a template's faults.
 *
 * T1: in html every value is escaped unless the template says `| raw`; all others hold plain text.
 * T2: a template reaches nothing but the recipient's own fields: no file, no partial, no prototype.
 * T3: parsing and rendering are bounded in length, time and memory: no template can hold a worker.
 */

import type { LiquidOptions } from 'liquidjs';
import { Liquid, LiquidError } from 'liquidjs';

/** Longest template, in characters. Mail clients clip a message far below this. */
export const TEMPLATE_CHARS_MAX = 2_000_000;
/** Longest text one template may render to, in characters. */
export const RENDERED_CHARS_MAX = 10_000_000;
const RENDER_MS_MAX = 1_000;
const RENDER_MEMORY_MAX = 20_000_000;

export type TemplateKind = 'html' | 'text';

/** Renders the template for one recipient; throws a TemplateFault. */
export type Template = (fields: object) => string;

/** A template that cannot be parsed or rendered; line and column count from 1. */
export class TemplateFault extends Error {
  readonly line: number;
  readonly column: number;
  constructor(message: string, line: number, column: number) {
    super(`line ${line}, column ${column}: ${message}`);
    this.name = 'TemplateFault';
    this.line = line;
    this.column = column;
  }
}

const OPTIONS: LiquidOptions = {
  strictFilters: true,
  strictVariables: false,
  ownPropertyOnly: true,
  templates: {},
  // The same mail comes out of every worker, wherever it stands.
  timezoneOffset: 0,
  locale: 'en',
  parseLimit: TEMPLATE_CHARS_MAX,
  renderLimit: RENDER_MS_MAX,
  memoryLimit: RENDER_MEMORY_MAX,
};

const ENGINES: Record<TemplateKind, Liquid> = {
  html: closed(new Liquid({ ...OPTIONS, outputEscape: 'escape' })),
  text: closed(new Liquid(OPTIONS)),
};

/** Takes away the tags that name other templates, so that they are refused when the brief is checked (T2). */
function closed(engine: Liquid): Liquid {
  for (const tag of ['include', 'render', 'layout', 'block']) delete engine.tags[tag];
  return engine;
}

/** Compiles a template; throws a TemplateFault. */
export function compileTemplate(kind: TemplateKind, source: string): Template {
  const engine = ENGINES[kind];
  const parsed = guarded(() => engine.parse(source));
  return (fields) => {
    const text = String(guarded((): unknown => engine.renderSync(parsed, fields)));
    if (text.length > RENDERED_CHARS_MAX) {
      throw new TemplateFault(`renders to more than ${RENDERED_CHARS_MAX} characters`, 1, 1);
    }
    return text;
  };
}

function guarded<T>(run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw faultFrom(error);
  }
}

function faultFrom(error: unknown): TemplateFault {
  if (!(error instanceof Error)) return new TemplateFault(String(error), 1, 1);
  const message = error.message.replace(/(, file:.*)?, line:\d+, col:\d+$/s, '');
  if (!LiquidError.is(error)) return new TemplateFault(message, 1, 1);
  const [line, column] = error.token.getPosition();
  return new TemplateFault(message, line ?? 1, column ?? 1);
}
