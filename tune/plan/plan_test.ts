import { deepStrictEqual, ok, strictEqual, throws } from "node:assert";
import { planSchemaText } from "./generate_schema.ts";
import { parsePlanText, readPlan } from "./plan.ts";

const SMALLEST = "version: 1\ntune: [{ kernel: mla_decode, problems: [{ heads: 16 }], contexts: [1k] }]\n";

Deno.test("parsePlanText() fills in what a plan leaves out", () => {
  deepStrictEqual(parsePlanText(SMALLEST, "plan.yaml"), {
    tune: [{ kernel: "mla_decode", problems: [{ heads: 16 }], contexts: [1024], devices: [{}] }],
    budget: { run: 3600, problem: 300 },
    search: { strategy: "random", seed: 1, coldCache: true },
    stale: { age: 90 * 86_400, drift: { tolerance: 0.1, after: 86_400 } },
    busy: { then: "skip", patience: 600 },
    publish: { results: "results" },
  });
});

Deno.test("parsePlanText() knows durations, and drift: false", () => {
  const { budget, stale } = parsePlanText(
    SMALLEST + "budget: { run: 1.5h, problem: 90s }\nstale: { age: 30m, drift: false }\n",
    "plan.yaml",
  );
  deepStrictEqual([budget, stale], [{ run: 5400, problem: 90 }, { age: 1800 }]);
});

Deno.test("readPlan() reads the example that the docs show", () => {
  const plan = readPlan(new URL("./example.yaml", import.meta.url).pathname);
  deepStrictEqual(plan.tune.map(({ contexts }) => contexts), [[1024, 8192, 32768], [8192]]);
  strictEqual(plan.publish.branch, "tuned-configs");
});

Deno.test("schema.json is the schema that plans are read by", () => {
  const committed = JSON.parse(Deno.readTextFileSync(new URL("./schema.json", import.meta.url)));
  deepStrictEqual(committed, JSON.parse(planSchemaText()));
});

/** Each is one change of the smallest plan, and what the error says. */
const BAD: [name: string, text: string, message: RegExp][] = [
  ["what is no YAML", "a: [", /Cannot read plan "plan.yaml": .*, expected YAML$/],
  ["another version", SMALLEST.replace("1", "2"), /version is 2, expected 1$/],
  ["an unknown field", SMALLEST + "budgett: 1h", /the document has the unknown field "budgett"$/],
  [
    "an unknown kernel",
    SMALLEST.replace("mla_decode", "nope"),
    /tune\[0\]\.kernel is "nope", expected one of "mla_decode"/,
  ],
  ["no contexts", SMALLEST.replace("[1k]", "[]"), /tune\[0\]\.contexts is \[\], expected array to have >=1 items$/],
  ["a context of 0", SMALLEST.replace("1k", "0"), /tune\[0\]\.contexts\[0\] is 0, expected/],
  [
    "a context that is no number",
    SMALLEST.replace("1k", "long"),
    /contexts\[0\] is "long", expected .* as in 1024 or 32k$/,
  ],
  [
    "too many heads",
    SMALLEST.replace("16", "999"),
    /tune\[0\]\.problems\[0\]: .*heads is 999, expected an integer from 1/,
  ],
  ["contexts in a problem", SMALLEST.replace("heads: 16", "contextLens: 1"), /contextLens is set, expected contexts/],
  ["a budget that is none", SMALLEST + "budget: { run: soon }", /budget\.run is "soon", expected for example 90s, 30m/],
  ["a drift that is none", SMALLEST + "stale: { drift: 7 }", /stale\.drift is 7, expected false, or tolerance/],
  [
    "a branch outside",
    SMALLEST + "publish: { branch: ../x }",
    /publish\.branch is "\.\.\/x", expected the name of a git/,
  ],
  ["an answer to busy that is none", SMALLEST + "busy: { then: kill }", /busy\.then is "kill", expected one of "wait"/],
];

for (const [name, text, message] of BAD) {
  Deno.test(`parsePlanText() refuses ${name} in one line that names it`, () => {
    throws(() => parsePlanText(text, "plan.yaml"), (error: Error) => {
      ok(message.test(error.message), error.message);
      strictEqual(error.name, "UsageError");
      return !error.message.includes("\n");
    });
  });
}

Deno.test("parsePlanText() refuses a long plan, and one whose aliases explode", () => {
  throws(() => parsePlanText(" ".repeat(2 ** 20 + 1), "plan.yaml"), /it has 1048577 characters, expected at most/);
  const bomb = "a: &a [1,1]\n" +
    [..."bcdefghijkl"].map((x, i) => `${x}: &${x} [${`*${"abcdefghijkl"[i]},`.repeat(9)}]`).join("\n");
  throws(() => parsePlanText(bomb, "plan.yaml"), /expected YAML$/);
});
