/**
 * Direct evaluation of a compiled template: the engine evaluates every value by generators, so that it can wait for
 * one; a recipient's fields are there, so what a template mostly holds (fixed texts, fields, filters) is evaluated by
 * plain calls, in less than half the time. Owns which parts of a template are; all others stay as the engine made them.
 *
 * V1: a direct value is what the engine's own is, and throws what it throws: filters and the reading of a field are
 *     the engine's, and what they would have waited for is run to its end.
 */
import type { Context, Emitter, Template as Node, Token } from 'liquidjs';
import { Output, TypeGuards, toValue, toValueSync, Value } from 'liquidjs';

type Get = (context: Context) => unknown;
/** What the engine's own values use of a context. */
type Scopes = { findScope(name: string): object };

/** Makes these nodes of a template direct, and those within them, where they can be. */
export function makeDirect(nodes: readonly Node[]): void {
  for (const node of nodes) {
    if (TypeGuards.isHTMLToken(node.token)) directText(node, node.token.getContent());
    else if (node instanceof Output) directOutput(node);
    else {
      for (const argument of node.arguments?.() ?? []) if (argument instanceof Value) direct(argument);
      makeDirect(node.children ? toValueSync<Node[]>(node.children(false, true)) : []);
    }
  }
}

function directText(node: Node, text: string): void {
  node.render = (_context, emitter: Emitter) => emitter.write(text);
}

function directOutput(node: Output): void {
  const { value } = node;
  direct(value);
  const render: Node['render'] = (context, emitter) => {
    emitter.write(toValue(toValueSync(value.value(context, false))));
  };
  Object.assign(node, { render });
}

/** Replaces how a value is evaluated, unless it begins with more than a literal or a field. */
function direct(value: Value): void {
  const [operand, ...more] = value.initial.postfix;
  const get = operand && more.length === 0 ? operandOf(operand) : undefined;
  if (!get) return;
  const evaluate = (context: Context): unknown => {
    let found = get(context);
    for (const filter of value.filters) found = toValueSync(filter.render(found, context));
    return found;
  };
  Object.assign(value, { value: evaluate });
}

/** A literal, or a field by its name or path. */
function operandOf(token: Token): Get | undefined {
  if ('content' in token) return () => token.content;
  if (!TypeGuards.isPropertyAccessToken(token) || token.variable) return undefined;
  const path = token.props.map((prop): unknown => ('content' in prop ? toValue(prop.content) : undefined));
  const [name] = path;
  if (typeof name !== 'string' || !path.every(isKey)) return undefined;
  return (context) => {
    let found: unknown = (context as unknown as Scopes).findScope(name);
    for (const key of path) found = toValueSync(context.readProperty(found as object, key));
    return found;
  };
}

function isKey(key: unknown): key is string | number {
  return typeof key === 'string' || typeof key === 'number';
}
