/** What a strategy's own work costs beside drawing at random: 220 evaluations of a space of 20,000 configs. */
import type { Config, Space } from "../../kernels/space.ts";
import { STRATEGIES } from "./strategies.ts";

const COUNTS = [5, 5, 4, 4, 5, 10];
const SPACE: Space = {
  params: COUNTS.map((count, d) => ({
    name: `p${d}`,
    values: [...new Array(count).keys()].map((i) => 2 ** i),
    what: "made up",
    recompiles: true,
  })),
  constraints: [],
};

function cost(config: Config): number {
  return 1 + SPACE.params.reduce((sum, { name }, d) => sum + Math.abs(Math.log2(Number(config[name])) - d % 4), 0);
}

for (const name of ["random", "genetic", "bayesian"] as const) {
  Deno.bench({
    name: `${name}, 220 evaluations of 20,000 configs`,
    group: "strategy",
    baseline: name === "random",
    fn() {
      const strategy = STRATEGIES[name](SPACE, 1);
      for (let i = 0; i < 220; i++) {
        const config = strategy.ask()!;
        strategy.tell({ config, cost: cost(config) });
      }
    },
  });
}
