import { deepStrictEqual, ok, strictEqual } from "node:assert";
import { randomSource } from "../../kernels/random_source.ts";
import { type Config, configs, type Constraint, type Space } from "../../kernels/space.ts";
import { admitted, LISTED, listing, sampler } from "./listing.ts";

const names = ["a", "b", "c", "d"];
const space = (values: number, constraints: Constraint[]): Space => ({
  params: names.map((name) => ({ name, values: [...new Array(values).keys()], what: name, recompiles: true })),
  constraints,
});
const rule = (name: string, holds: (config: Config) => boolean): Constraint => ({ name, reason: name, holds });

/** Remembers by the config's identity, as kernels' constraints do. */
function remembering(): Constraint {
  const known = new WeakMap<Config, number>();
  return rule("remembers", (config) => {
    if (!known.has(config)) known.set(config, Number(config.b) + Number(config.c));
    return known.get(config)! % 2 === 0;
  });
}

const RULES = [
  rule("short-circuits", (config) => config.a === 0 || Number(config.b) > 1),
  rule("reads all", (config) => Object.values(config).some((value) => Number(value) > 1)),
  remembering(),
];

Deno.test("admitted() gives what configs() gives, in the same order, whatever its constraints read", () => {
  const all = [...admitted(space(4, RULES))];
  deepStrictEqual(all, [...configs(space(4, RULES))]);
  ok(all.length > 20 && all.length < 256);
});

Deno.test("listing() lists the few configs of 10⁸ combinations, since constraints end branches early", () => {
  const sparse = space(100, [
    rule("first", (config) => Number(config.a) < 2),
    rule("same", (config) => config.b === config.a && config.c === config.a),
  ]);
  strictEqual(listing(sparse)?.length, 200);
});

Deno.test("listing() gives up on a space that is too large", () => {
  strictEqual(listing(space(LISTED ** 0.25 + 2 | 0, [])), undefined);
});

Deno.test("listing() and sampler() find nothing where nothing is admitted", () => {
  const none = space(5, [rule("never", () => false)]);
  deepStrictEqual(listing(none), []);
  strictEqual(sampler(none, randomSource(1))(), undefined);
});
