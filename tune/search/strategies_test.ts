import { deepStrictEqual, notDeepStrictEqual, strictEqual } from "node:assert";
import { brokenConstraint, type Config, configKey, type Space } from "../../kernels/space.ts";
import { STRATEGIES } from "./strategies.ts";
import type { Strategy } from "./strategy.ts";

const range = (n: number) => [...new Array(n).keys()];
const param = (name: string, n: number) => ({ name, values: range(n), what: name, recompiles: true });
const even = { name: "even", reason: "an even sum", holds: (c: Config) => (Number(c.a) + Number(c.b)) % 2 === 0 };
const SMALL: Space = { params: [param("a", 10), param("b", 10)], constraints: [even] };
const LARGE: Space = {
  params: ["a", "b", "c", "d", "e", "f", "g"].map((name) => param(name, 10)),
  constraints: [even],
};

function asked(strategy: Strategy, most = Infinity): Config[] {
  const configs: Config[] = [];
  while (configs.length < most) {
    const config = strategy.ask();
    if (!config) break;
    strategy.tell({ config, cost: configs.length % 3 === 0 ? undefined : 1 });
    configs.push(config);
  }
  return configs;
}

for (const [name, factory] of Object.entries(STRATEGIES)) {
  Deno.test(`${name} proposes every admitted config of a small space exactly once`, () => {
    const strategy = factory(SMALL, 1);
    strictEqual(strategy.total, 50);
    const configs = asked(strategy);
    strictEqual(new Set(configs.map(configKey)).size, 50);
    strictEqual(configs.length, 50);
  });

  Deno.test(`${name} proposes the same configs for the same seed`, () => {
    deepStrictEqual(asked(factory(SMALL, 7)), asked(factory(SMALL, 7)));
  });
}

Deno.test("exhaustive proposes the cost model's best guesses first", () => {
  const model = ({ a, b }: Config) => Math.abs(Number(a) - 3) + Math.abs(Number(b) - 5);
  const guesses = asked(STRATEGIES.exhaustive(SMALL, 1, { model })).map(model);
  deepStrictEqual(guesses, guesses.toSorted((x, y) => x - y));
  strictEqual(guesses.length, 50);
});

Deno.test("random proposes another order for another seed", () => {
  notDeepStrictEqual(asked(STRATEGIES.random(SMALL, 1)), asked(STRATEGIES.random(SMALL, 2)));
});

Deno.test("random draws from ten million combinations without listing them, each admitted and none twice", () => {
  const configs = asked(STRATEGIES.random(LARGE, 3), 1000);
  strictEqual(new Set(configs.map(configKey)).size, 1000);
  strictEqual(configs.filter((config) => brokenConstraint(LARGE, config)).length, 0);
});
