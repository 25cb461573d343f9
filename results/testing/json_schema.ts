/** The part of JSON Schema 2020-12 that `results/schema.json` uses, so that a test can hold it against the parser. */

type Schema = Record<string, unknown>;

const TYPES: Record<string, (value: unknown) => boolean> = {
  object: (value) => typeof value === "object" && value !== null && !Array.isArray(value),
  array: Array.isArray,
  string: (value) => typeof value === "string",
  number: (value) => typeof value === "number" && Number.isFinite(value),
  integer: (value) => Number.isInteger(value),
  boolean: (value) => typeof value === "boolean",
};

type Rule = (argument: never, value: unknown, schema: Schema, root: Schema) => boolean;

const isObject = (value: unknown): value is Schema => TYPES.object(value);
const length = (value: unknown) => isObject(value) ? Object.keys(value).length : (value as string | unknown[]).length;

const RULES: Record<string, Rule> = {
  $schema: () => true,
  $defs: () => true,
  title: () => true,
  description: () => true,
  $ref: (ref: string, value, _schema, root) =>
    admits((root.$defs as Record<string, Schema>)[ref.replace("#/$defs/", "")], value, root),
  type: (types: string | string[], value) => [types].flat().some((type) => TYPES[type](value)),
  const: (expected: unknown, value) => value === expected,
  enum: (expected: unknown[], value) => expected.includes(value),
  not: (schema: Schema, value, _schema, root) => !admits(schema, value, root),
  minimum: (min: number, value) => typeof value !== "number" || value >= min,
  maximum: (max: number, value) => typeof value !== "number" || value <= max,
  exclusiveMinimum: (min: number, value) => typeof value !== "number" || value > min,
  maxLength: (max: number, value) => typeof value !== "string" || value.length <= max,
  pattern: (pattern: string, value) => typeof value !== "string" || new RegExp(pattern).test(value),
  minItems: (min: number, value) => !Array.isArray(value) || length(value) >= min,
  maxItems: (max: number, value) => !Array.isArray(value) || length(value) <= max,
  items: (items: Schema, value, _schema, root) =>
    !Array.isArray(value) || value.every((item) => admits(items, item, root)),
  required: (names: string[], value) => !isObject(value) || names.every((name) => Object.hasOwn(value, name)),
  maxProperties: (max: number, value) => !isObject(value) || length(value) <= max,
  propertyNames: (names: Schema, value, _schema, root) =>
    !isObject(value) || Object.keys(value).every((name) => admits(names, name, root)),
  properties: (properties: Record<string, Schema>, value, _schema, root) =>
    !isObject(value) ||
    Object.entries(properties).every(([name, schema]) =>
      !Object.hasOwn(value, name) || admits(schema, value[name], root)
    ),
  additionalProperties: (additional: Schema | boolean, value, schema, root) =>
    !isObject(value) ||
    Object.keys(value).filter((name) => !Object.hasOwn((schema.properties ?? {}) as Schema, name)).every((name) =>
      additional !== false && (additional === true || admits(additional, value[name], root))
    ),
};

/** Whether `schema` admits `value`. Throws for a keyword that this does not know, rather than pass over it. */
export function admits(schema: Schema, value: unknown, root: Schema = schema): boolean {
  return Object.entries(schema).every(([keyword, argument]) => {
    if (!Object.hasOwn(RULES, keyword)) {
      throw new Error(`The schema has the keyword ${keyword}, which has no rule here`);
    }
    return RULES[keyword](argument as never, value, schema, root);
  });
}
