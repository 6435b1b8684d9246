/**
 * Templates of a newsletter: Liquid, compiled once per brief and rendered per recipient.
 * Owns the two engines, their limits and the wording of a template's faults; what is made of the text it writes
 * is its reader's business.
 *
 * T1: in html every value is escaped unless the template says `| raw`; all others hold plain text.
 * T2: a template reaches nothing but the recipient's own fields: no file, no partial, no prototype.
 * T3: parsing and rendering are bounded in length, time and memory: no template can hold a worker.
 */

import type { Emitter, LiquidOptions, Template as Node } from 'liquidjs';
import { Context, Liquid, LiquidError, Tokenizer, TypeGuards, toValueSync } from 'liquidjs';
import { makeDirect } from './direct.ts';

/** Longest template, in characters. Mail clients clip a message far below this. */
export const TEMPLATE_CHARS_MAX = 2_000_000;
/** Longest text one template may render to, in characters. */
export const RENDERED_CHARS_MAX = 10_000_000;
/** By the wall: so long that a machine that is busy, or stands still for a moment, fails no mail. */
const RENDER_MS_MAX = 10_000;
const RENDER_MEMORY_MAX = 20_000_000;

export type TemplateKind = 'html' | 'text';

/** Takes what a template writes, piece by piece. */
export type Output = { write(text: string): void };

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

const VALUE = ENGINES.text.parse('{{ value }}');

/** Takes away the tags that name other templates, so that they are refused when the brief is checked (T2). */
function closed(engine: Liquid): Liquid {
  for (const tag of ['include', 'render', 'layout', 'block']) delete engine.tags[tag];
  return engine;
}

/** A template, compiled. */
export class Template {
  /** The texts that stand in it as they are: each is written as one piece, every time it is written. */
  readonly fixed: readonly string[];
  /** Whether it says the same to everybody. */
  readonly isFixed: boolean;
  readonly #engine: Liquid;
  readonly #nodes: Node[];

  /** Throws a TemplateFault. */
  constructor(kind: TemplateKind, source: string) {
    this.#engine = ENGINES[kind];
    this.#nodes = guarded(() => this.#engine.parse(source));
    makeDirect(this.#nodes);
    const tokens = new Tokenizer(source, this.#engine.options.operators).readTopLevelTokens(
      this.#engine.options,
    );
    this.fixed = tokens.filter(TypeGuards.isHTMLToken).map((token) => token.getContent());
    this.isFixed = this.fixed.length === tokens.length;
  }

  /** Renders it for one recipient; throws a TemplateFault. */
  render(fields: object): string {
    let text = '';
    this.renderTo(fields, {
      write(piece) {
        text += piece;
      },
    });
    return text;
  }

  /** Renders it for one recipient, piece by piece; throws a TemplateFault. */
  renderTo(fields: object, output: Output): void {
    const { renderer, options } = this.#engine;
    const context = new Context(fields, options, { sync: true }, { liquid: this.#engine });
    const pieces = new Pieces(output);
    guarded((): unknown => toValueSync(renderer.renderTemplates(this.#nodes, context, pieces)));
  }
}

/** Hands on what the engine writes, as texts, and counts it (T3). */
class Pieces implements Emitter {
  readonly buffer = '';
  readonly #output: Output;
  #chars = 0;

  constructor(output: Output) {
    this.#output = output;
  }

  write(value: unknown): void {
    const text = typeof value === 'string' ? value : textOf(value);
    if (text === '') return;
    this.#chars += text.length;
    if (this.#chars > RENDERED_CHARS_MAX) {
      throw new Error(`renders to more than ${RENDERED_CHARS_MAX} characters`);
    }
    this.#output.write(text);
  }
}

/** A value as the engine itself would write it. */
function textOf(value: unknown): string {
  if (typeof value === 'number') return String(value);
  return String(ENGINES.text.renderSync(VALUE, { value }));
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
