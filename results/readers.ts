/**
 * Readers of untrusted JSON: each takes one value at its path, and gives it back checked or says what is wrong with it.
 *
 * @module
 */

/** The longest text that is read, in UTF-16 units (bytes, as far as it is ASCII). */
export const MAX_RESULTS_LENGTH = 8 * 2 ** 20;

/** Texts of one line, and names. */
export const MAX_SHORT_TEXT = 256;
/** Any other texts. */
export const MAX_TEXT = 4096;
/** Fields of one object whose names are free. */
export const MAX_FIELDS = 64;

/** Names of parameters, measures and fields. */
export const NAME: RegExp = /^[A-Za-z][A-Za-z0-9_]{0,63}$/;
/** What {@linkcode NAME} and the reader of free names accept. */
export const NAME_RULE = "a name of letters, digits and _ that no object inherits";

/** Reads one value at a path, or throws with the path, the value and what is accepted. */
export type Read<T> = (value: unknown, path: string) => T;

/**
 * The value of a JSON text, or the value itself where it is none.
 *
 * @throws {SyntaxError | RangeError} Where the text is no JSON, or too long.
 */
export function parseText(text: unknown): unknown {
  if (typeof text !== "string") return text;
  if (text.length > MAX_RESULTS_LENGTH) {
    throw new RangeError(
      `Cannot read results: the text has ${text.length} characters, expected at most ${MAX_RESULTS_LENGTH}`,
    );
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    const message = (error as Error).message.replaceAll(/\s+/g, " "); // it quotes the text, line ends included
    throw new SyntaxError(`Cannot read results: ${message}, expected a JSON document`, { cause: error });
  }
}

/** true or false. */
export const boolean: Read<boolean> = (value, path) => {
  if (typeof value !== "boolean") throw wrong(TypeError, value, path, "true or false");
  return value;
};

/** What would write to a terminal other than it reads. */
// deno-lint-ignore no-control-regex -- they are what is looked for
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;

/** Text, bounded, without control characters, and of a pattern where one is given. */
export function text(maxLength: number, pattern?: RegExp, what = "text"): Read<string> {
  const expected = pattern ? `${what} matching ${pattern.source}` : `${what} of at most ${maxLength} characters`;
  return (value, path) => {
    if (typeof value !== "string") throw wrong(TypeError, value, path, expected);
    if (value.length > maxLength || pattern?.test(value) === false) throw wrong(RangeError, value, path, expected);
    if (CONTROL.test(value)) throw wrong(RangeError, value, path, "text without control characters");
    return value;
  };
}

/** One of these values. */
export function oneOf<const T extends string | number>(...values: T[]): Read<T> {
  const expected = values.map((value) => JSON.stringify(value)).join(" or ");
  return (value, path) => {
    if (!values.includes(value as T)) throw wrong(RangeError, value, path, expected);
    return value as T;
  };
}

/** A finite number that `accept` takes. */
export function number(expected: string, accept: (value: number) => boolean): Read<number> {
  return (value, path) => {
    if (typeof value !== "number") throw wrong(TypeError, value, path, expected);
    if (!Number.isFinite(value) || !accept(value)) throw wrong(RangeError, value, path, expected);
    return value;
  };
}

/** A whole number in a range. */
export function integer(min: number, max: number): Read<number> {
  return number(
    `an integer from ${min} to ${max}`,
    (value) => Number.isInteger(value) && value >= min && value <= max,
  );
}

/** An object whose names are free: as many as `max`, each matching `pattern`. */
export function map<T>(
  pattern: RegExp,
  what: string,
  max: number,
  read: (name: string) => Read<T>,
): Read<Record<string, T>> {
  return (value, path) => {
    const given = record(value, path);
    const names = Object.keys(given);
    if (names.length > max) {
      throw new RangeError(`Cannot read results: ${path} has ${names.length} fields, expected at most ${max}`);
    }
    const result: Record<string, T> = {};
    for (const name of names) {
      if (!pattern.test(name) || isPrototypeName(name)) {
        throw new RangeError(`Cannot read results: ${path} has the field ${show(name)}, expected ${what}`);
      }
      result[name] = read(name)(given[name], NAME.test(name) ? `${path}.${name}` : path + index(name));
    }
    return result;
  };
}

/** An object with exactly these fields, of which the `optional` ones may be absent. */
export function fields<T>(
  readers: { readonly [K in keyof T]-?: Read<T[K]> },
  optional: readonly (keyof T)[] = [],
): Read<T> {
  const names = Object.keys(readers) as (keyof T & string)[];
  return (value, path) => {
    const given = record(value, path);
    const at = (name: string) => path === "" ? name : `${path}.${name}`;
    for (const name of Object.keys(given)) {
      if (!Object.hasOwn(readers, name)) {
        const where = path === "" ? "the file" : path;
        throw new TypeError(
          `Cannot read results: ${where} has the unknown field ${show(name)}, expected ${names.join(", ")}`,
        );
      }
    }
    const result: Partial<T> = {};
    for (const name of names) {
      if (!Object.hasOwn(given, name)) {
        if (optional.includes(name)) continue;
        throw new TypeError(`Cannot read results: ${at(name)} is missing, expected ${names.join(", ")}`);
      }
      result[name] = readers[name](given[name], at(name));
    }
    return result as T;
  };
}

/** An object that is no array. */
export function record(value: unknown, path: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw wrong(TypeError, value, path === "" ? "the file" : path, "an object");
  }
  return value as Record<string, unknown>;
}

/** A number that is one. */
export const finite = number("a finite number", () => true);
/** 0 and above. */
export const notNegative = number("a number from 0 up", (value) => value >= 0);
/** Above 0. */
export const positive = number("a number above 0", (value) => value > 0);

/** Names that every object inherits, or that code reaches prototypes by. */
function isPrototypeName(name: string): boolean {
  return name in Object.prototype || name === "prototype";
}

/** `["name"]`, for a path. */
export function index(name: string): string {
  return `[${show(name)}]`;
}

/** A value for a message, in one short line. */
function show(value: unknown): string {
  let shown: string | undefined;
  try {
    shown = typeof value === "number" ? String(value) : JSON.stringify(value);
  } catch {
    // A cycle or a BigInt, which no JSON text gives.
  }
  shown ??= String(typeof value);
  return shown.length > 80 ? `${shown.slice(0, 80)}…` : shown;
}

/** The error that says what a path has and what is accepted. */
export function wrong(
  kind: typeof TypeError | typeof RangeError,
  value: unknown,
  path: string,
  expected: string,
): Error {
  return new kind(`Cannot read results: ${path} is ${show(value)}, expected ${expected}`);
}
