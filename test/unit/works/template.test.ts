import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { Liquid } from 'liquidjs';
import { Template, TemplateFault, type TemplateKind } from '../../../works/newsletter/template.ts';

const OPTIONS = { strictFilters: true, ownPropertyOnly: true, timezoneOffset: 0, locale: 'en' } as const;
const ENGINES = { html: new Liquid({ ...OPTIONS, outputEscape: 'escape' }), text: new Liquid(OPTIONS) };

/** The pieces that templates are made of here: each field, filter and tag in its forms. */
const VALUES = [
  'name', 'city', 'deep.a.b', 'deep["a"].b', 'list', 'list[0]', 'list[-1]', 'list.first', 'list.size', 'name.size',
  'none', 'none.at.all', 'constructor', 'deep.__proto__', 'deep[name]', 'list[n]', '"text"', "'<i>'", '7', '-1.5', 'true',
  'false', 'nil', 'empty', 'blank', '(1..3)', 'n', 'forloop.index', 'item', 'kept', 'mine', '"a"[0]', 'yes', 'at',
] as const; // biome-ignore format: a list
const FILTERS = [
  '', '', ' | default: "x"', ' | default: name, allow_false: true', ' | upcase', ' | escape', ' | raw', ' | url_encode',
  ' | split: ","', ' | split: "" | join: "-"', ' | append: city', ' | truncate: 3', ' | plus: n', ' | divided_by: 0',
  ' | date: "%Y"', ' | where: "a", 1', ' | map: "a"', ' | sort', ' | reverse | first', ' | json', ' | size', ' | slice: 1, 2',
  ' | replace: "a", name', ' | strip_html', ' | newline_to_br', ' | times: deep.a.b',
] as const; // biome-ignore format: a list
const CONDITIONS = [
  '',
  ' == "free"',
  ' contains "a"',
  ' and n',
  ' != nil',
  ' > 1',
  ' == empty',
  ' or yes',
] as const;

const value = fc.constantFrom(...VALUES);
const filtered = fc
  .tuple(value, fc.constantFrom(...FILTERS), fc.constantFrom(...FILTERS))
  .map((it) => it.join(''));
const condition = fc.tuple(value, fc.constantFrom(...CONDITIONS)).map((it) => it.join(''));
const text = fc.constantFrom('a', ' ', '\n', '<b>&amp;</b>', '{', '} }', 'é');
const { template } = fc.letrec<{ template: string; node: string }>((tie) => ({
  template: fc.array(tie('node'), { maxLength: 5 }).map((it) => it.join('')),
  node: fc.oneof(
    { maxDepth: 3, depthIdentifier: 'nested' },
    text,
    filtered.map((it) => `{{ ${it} }}`),
    filtered.map((it) => `{{- ${it} -}}`),
    filtered.map((it) => `{% assign mine = ${it} %}`),
    filtered.map((it) => `{% echo ${it} %}`),
    fc.constant('{% increment count %}{% cycle "a", "b" %}{# no #}{% raw %}{{ x }}{% endraw %}'),
    fc.constantFrom('{% break %}', '{% continue %}', '{% comment %}{{ x }}{% endcomment %}'),
    fc.tuple(condition, tie('template')).map(([c, body]) => `{% if ${c} %}${body}{% else %}n{% endif %}`),
    fc
      .tuple(condition, tie('template'))
      .map(([c, body]) => `{% unless ${c} %}${body}{% elsif n %}e{% endunless %}`),
    fc
      .tuple(value, tie('template'))
      .map(([v, body]) => `{% for item in ${v} limit: 3 %}${body}{% else %}0{% endfor %}`),
    fc
      .tuple(value, tie('template'))
      .map(([v, body]) => `{% case ${v} %}{% when "a", 7 %}${body}{% else %}-{% endcase %}`),
    fc
      .tuple(tie('template'), fc.constant('{{ kept | size }}'))
      .map((it) => `{% capture kept %}${it.join('{% endcapture %}')}`),
  ),
}));
const word = fc.constantFrom('', 'Ann', 'a,b', '<b>"x"</b>', 'free', 'Zoë', ' ', '7');
const recipient = fc.record(
  {
    email: fc.constant('ann@example.com'),
    name: word,
    city: word,
    n: fc.constantFrom(0, 1, 2, -1),
    list: fc.array(fc.oneof(word, fc.record({ a: fc.integer() })), { maxLength: 3 }),
    deep: fc.constant({ a: { b: 3, 1: 'one' } }),
    yes: fc.boolean(),
    at: fc.constantFrom('2026-03-01', 'never', 0),
  },
  { requiredKeys: ['email'] },
);

/** What a template comes to, or the fault without its place. */
function outcome(render: () => string): string {
  try {
    return `text ${render()}`;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return `fault ${message.replace(/^line \d+, column \d+: |, line:\d+, col:\d+$/g, '')}`;
  }
}

test('a template renders what the engine by itself would, and fails as it fails', () => {
  const seen = { text: 0, fault: 0 };
  fc.assert(
    fc.property(fc.constantFrom<TemplateKind>('html', 'text'), template, recipient, (kind, source, row) => {
      const expected = outcome(() => String(ENGINES[kind].parseAndRenderSync(source, { ...row })));
      assert.equal(
        outcome(() => new Template(kind, source).render({ ...row })),
        expected,
        source,
      );
      seen[expected.startsWith('text') ? 'text' : 'fault'] += 1;
    }),
    { numRuns: 2_000, seed: 11 },
  );
  assert.ok(seen.text > 500 && seen.fault > 10, JSON.stringify(seen));
});

test('a template tells its fixed texts, trimmed as they are written, and whether it is all there is', () => {
  const plain = new Template('text', 'List-Unsubscribe=One-Click');
  assert.deepEqual([plain.isFixed, plain.fixed], [true, ['List-Unsubscribe=One-Click']]);
  const mixed = new Template('html', 'a \n{{- name }} b{% if name %}c{% endif -%} \nd');
  const pieces: string[] = [];
  mixed.renderTo({ name: 'Ann' }, { write: (piece) => pieces.push(piece) });
  assert.deepEqual([mixed.isFixed, mixed.fixed], [false, ['a', ' b', 'c', 'd']]);
  assert.deepEqual(pieces, ['a', 'Ann', ' b', 'c', 'd']);
});

test('a template that renders to far too much is a fault, not a mail', () => {
  const endless = new Template('html', '{{ name | raw }}'.repeat(12));
  assert.throws(
    () => endless.render({ name: 'x'.repeat(1_000_000) }),
    (error) =>
      error instanceof TemplateFault && /renders to more than 10000000 characters/.test(error.message),
  );
});
