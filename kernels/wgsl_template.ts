/**
 * A small template language for WGSL: text that is unrolled before the compiler sees it.
 *
 * Register tiles need their indices to be constants. WGSL has no way to ask for unrolling, and whether a driver unrolls
 * a loop is the driver's choice, so kernels are unrolled here. Directives are comments, so a template still reads (and
 * highlights) as WGSL:
 *
 *     //#for h in 0..QK_HEADS
 *     var s_$h = 0.0;               // $name is replaced by the value of a constant or of a loop's variable
 *     let a_$h = q[$(h * 2 + 1)];   // $(…) by the value of an integer expression
 *     //#if KV_F16
 *     …                             // where the expression is not 0
 *     //#else
 *     …
 *     //#end
 *     //#end
 *
 * @module
 */
import { evaluateInteger } from "./devices/wgsl_limits.ts";

/** Values of a template's names; false is 0 and true is 1. */
export type TemplateValues = Readonly<Record<string, number | boolean | string>>;

interface Block {
  readonly kind: "for" | "if";
  readonly line: number;
  readonly header: string;
  readonly body: (string | Block)[];
  readonly otherwise: (string | Block)[];
}

/**
 * Expands a template.
 *
 * @throws {SyntaxError} With the line's number, where a directive is malformed or unclosed, or a name is unknown.
 */
export function expandWgsl(template: string, values: TemplateValues): string {
  return render(parse(template), new Map(Object.entries(values))).join("\n");
}

function parse(template: string): (string | Block)[] {
  const root: (string | Block)[] = [];
  const open: { block: Block; into: (string | Block)[] }[] = [];
  const target = () => open.at(-1)?.into ?? root;
  template.split("\n").forEach((text, i) => {
    const directive = /^\s*\/\/#(\w+)\s*(.*)$/.exec(text);
    if (!directive) return void target().push(text);
    const [, word, header] = directive;
    if (word === "for" || word === "if") {
      const block: Block = { kind: word, line: i + 1, header: header.trim(), body: [], otherwise: [] };
      target().push(block);
      open.push({ block, into: block.body });
    } else if (word === "else" && open.at(-1)?.block.kind === "if") {
      open.at(-1)!.into = open.at(-1)!.block.otherwise;
    } else if (word === "end" && open.length > 0) {
      open.pop();
    } else throw new SyntaxError(`Cannot expand line ${i + 1}, "${text.trim()}": no block that it belongs to is open`);
  });
  if (open.length > 0) {
    const { block } = open.at(-1)!;
    throw new SyntaxError(`Cannot expand line ${block.line}, "//#${block.kind} ${block.header}": it has no //#end`);
  }
  return root;
}

type Names = Map<string, number | boolean | string>;

function render(parts: readonly (string | Block)[], names: Names): string[] {
  return parts.flatMap((part) => {
    if (typeof part === "string") return [substitute(part, names)];
    if (part.kind === "if") return render(integer(part.header, names) !== 0 ? part.body : part.otherwise, names);
    const header = /^(\w+)\s+in\s+(.+)\.\.(.+)$/.exec(part.header);
    if (!header) {
      throw new SyntaxError(`Cannot expand line ${part.line}, "//#for ${part.header}": expected NAME in FROM..TO`);
    }
    const [from, to] = [integer(header[2], names), integer(header[3], names)];
    return Array.from({ length: Math.max(0, to - from) }, (_, i) => i + from)
      .flatMap((value) => render(part.body, new Map(names).set(header[1], value)));
  });
}

// `$h_` must find h: names in `$name` are the longest known prefix of the identifier.
function substitute(line: string, names: Names): string {
  return line
    .replace(/\$\(((?:[^()]|\([^()]*\))*)\)/g, (_, expression) => String(integer(expression, names)))
    .replace(/\$([A-Za-z]\w*)/g, (_, identifier: string) => {
      for (let length = identifier.length; length > 0; length--) {
        const value = names.get(identifier.slice(0, length));
        if (value !== undefined) return String(value) + identifier.slice(length);
      }
      throw new SyntaxError(`Cannot expand "${line.trim()}": $${identifier} has no value`);
    });
}

function integer(expression: string, names: Names): number {
  return evaluateInteger(expression, (name) => {
    const value = names.get(name);
    return value === undefined || typeof value === "string" ? undefined : Number(value);
  });
}
