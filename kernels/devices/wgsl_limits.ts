/**
 * What a WGSL entry point asks of a device: invocations and workgroup storage, read from the source.
 *
 * Deno's WebGPU does not enforce these limits, and a driver was seen to hang for good on a pipeline that broke one, so
 * they are checked before a pipeline is made. Only what compute kernels use is understood: integer `const`s, scalars,
 * vectors, matrices, arrays, atomics and structs. Anything else in a workgroup variable is an error, never a guess.
 *
 * @module
 */

/** Resources of one workgroup. */
export interface WorkgroupNeeds {
  readonly size: readonly [number, number, number];
  readonly invocations: number;
  /** Bytes of all `var<workgroup>` of the module, each rounded up to 16. */
  readonly storageBytes: number;
}

interface Layout {
  readonly size: number;
  readonly align: number;
}

const SCALAR_BYTES: Readonly<Record<string, number>> = { f32: 4, u32: 4, i32: 4, bool: 4, f16: 2 };
const SUFFIX: Readonly<Record<string, string>> = { f: "f32", u: "u32", i: "i32", h: "f16" };

/**
 * Reads what the entry point's workgroups need.
 *
 * @throws {SyntaxError} Where the entry point or its `@workgroup_size` is missing, or a type or size is not understood.
 */
export function workgroupNeeds(source: string, entryPoint: string): WorkgroupNeeds {
  const text = source.replace(/\/\*[\s\S]*?\*\//g, " ").replace(/\/\/[^\n]*/g, " ");
  const constants = new Map<string, string>();
  for (const [, name, value] of text.matchAll(/\bconst\s+(\w+)\s*(?::\s*\w+\s*)?=\s*([^;]+);/g)) {
    constants.set(name, value);
  }
  const structs = new Map<string, string>();
  for (const [, name, body] of text.matchAll(/\bstruct\s+(\w+)\s*\{([^}]*)\}/g)) structs.set(name, body);

  const declaration = new RegExp(`((?:@\\w+\\s*(?:\\([^)]*\\))?\\s*)+)fn\\s+${entryPoint}\\s*\\(`).exec(text);
  const sizeText = declaration && /@workgroup_size\s*\(([^)]*)\)/.exec(declaration[1])?.[1];
  if (!sizeText) {
    throw new SyntaxError(`Cannot find "${entryPoint}" with a @workgroup_size in the WGSL source`);
  }
  const sizes = sizeText.split(",").filter((part) => part.trim()).map((part) => evaluate(part, constants));
  const size = [sizes[0], sizes[1] ?? 1, sizes[2] ?? 1] as const;

  let storageBytes = 0;
  for (const [, type] of text.matchAll(/\bvar\s*<\s*workgroup\s*>\s*\w+\s*:\s*([^;]+);/g)) {
    storageBytes += roundUp(layout(type, constants, structs).size, 16);
  }
  return { size, invocations: size[0] * size[1] * size[2], storageBytes };
}

/** Size and alignment of a type, as WGSL lays it out (WGSL § Alignment and Size). */
function layout(type: string, constants: Map<string, string>, structs: Map<string, string>): Layout {
  const name = type.trim();
  if (Object.hasOwn(SCALAR_BYTES, name)) return { size: SCALAR_BYTES[name], align: SCALAR_BYTES[name] };
  const vector = /^vec([234])(?:<\s*(\w+)\s*>|([fuih]))$/.exec(name);
  if (vector) return vectorLayout(Number(vector[1]), SCALAR_BYTES[vector[2] ?? SUFFIX[vector[3]]]);
  const matrix = /^mat([234])x([234])(?:<\s*(\w+)\s*>|([fh]))$/.exec(name);
  if (matrix) {
    const column = vectorLayout(Number(matrix[2]), SCALAR_BYTES[matrix[3] ?? SUFFIX[matrix[4]]]);
    return { size: roundUp(column.size, column.align) * Number(matrix[1]), align: column.align };
  }
  const generic = /^(array|atomic)\s*<([\s\S]*)>$/.exec(name);
  if (generic?.[1] === "atomic") return layout(generic[2], constants, structs);
  if (generic) {
    const [element, count] = splitTopLevel(generic[2]);
    if (count === undefined) throw new SyntaxError(`Cannot size "${name}": expected an array with a length`);
    const { size, align } = layout(element, constants, structs);
    return { size: roundUp(size, align) * evaluate(count, constants), align };
  }
  const body = structs.get(name);
  if (body === undefined) throw new SyntaxError(`Cannot size the workgroup type "${name}": expected a known WGSL type`);
  let [end, align] = [0, 1];
  for (const member of splitTopLevel(body)) {
    const colon = member.indexOf(":");
    const part = layout(member.slice(colon + 1), constants, structs);
    end = roundUp(end, part.align) + part.size;
    align = Math.max(align, part.align);
  }
  return { size: roundUp(end, align), align };
}

function vectorLayout(length: number, scalar: number): Layout {
  return { size: length * scalar, align: (length === 3 ? 4 : length) * scalar };
}

/** Splits at commas that lie in no angle or round brackets; a trailing comma is allowed. */
function splitTopLevel(text: string): string[] {
  const parts: string[] = [];
  let [depth, start] = [0, 0];
  for (let i = 0; i < text.length; i++) {
    if ("<(".includes(text[i])) depth++;
    else if (">)".includes(text[i])) depth--;
    else if (text[i] === "," && depth === 0) {
      parts.push(text.slice(start, i));
      start = i + 1;
    }
  }
  if (text.slice(start).trim()) parts.push(text.slice(start));
  return parts;
}

/** The value of a constant expression of non-negative integers, names, `+ - * / %` and brackets. */
function evaluate(expression: string, constants: Map<string, string>): number {
  const value = evaluateInteger(expression, (name) => {
    const text = constants.get(name);
    return text === undefined ? undefined : evaluate(text, constants);
  });
  if (value < 0) throw new SyntaxError(`Cannot use ${value} as a size: "${expression.trim()}" is negative`);
  return value;
}

/**
 * Evaluates an integer expression of literals (also `32u`), names, `+ - * / %` and brackets, as WGSL does.
 *
 * @param lookup The value of a name, or undefined where there is none.
 * @throws {SyntaxError} Where the expression is malformed or has an unknown name.
 */
export function evaluateInteger(expression: string, lookup: (name: string) => number | undefined): number {
  const tokens = expression.match(/\d+|\w+|\S/g) ?? [];
  let at = 0;
  const fail = (): never => {
    throw new SyntaxError(`Cannot evaluate "${expression.trim()}" as an integer at "${tokens[at] ?? "its end"}"`);
  };
  const atom = (): number => {
    const token = tokens[at] ?? fail();
    if (token === "(") {
      at++;
      const value = sum();
      if (tokens[at] !== ")") fail();
      at++;
      return value;
    }
    if (token === "-") {
      at++;
      return -atom();
    }
    if (/^\d/.test(token)) {
      at++;
      if (tokens[at] === "u" || tokens[at] === "i") at++;
      return Number(token);
    }
    const value = /^[A-Za-z_]/.test(token) ? lookup(token) : undefined;
    if (value === undefined) fail();
    at++;
    return value!;
  };
  const product = (): number => {
    let value = atom();
    while (["*", "/", "%"].includes(tokens[at])) {
      const operator = tokens[at++];
      const right = atom();
      value = operator === "*" ? value * right : operator === "/" ? Math.trunc(value / right) : value % right;
    }
    return value;
  };
  const sum = (): number => {
    let value = product();
    while (tokens[at] === "+" || tokens[at] === "-") {
      value = tokens[at++] === "+" ? value + product() : value - product();
    }
    return value;
  };
  const value = sum();
  if (at < tokens.length) fail();
  return value;
}

function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}
