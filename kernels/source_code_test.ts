import { deepStrictEqual, notStrictEqual, ok, strictEqual } from "node:assert";
import { childEnvironment, hasCompiler } from "./devices/cuda/stub/stub.ts";
import { cCode, pythonCode } from "./source_code.ts";

Deno.test("cCode() keeps what a compiler sees", () => {
  const text = `// head
#define A(x) \\
  ((x) + 1)   // kept together
asm("mov.u32 %0, 1; // not a comment" : "=r"(a)); char c = '"'; /* one
two */ char d = '\\'';

  //#for i in 0..4
  let x_$i = 1.0;  //#end is no directive here, but stays
  //#end`;
  deepStrictEqual(cCode(text).split("\n"), [
    "#define A(x) \\",
    "((x) + 1)",
    `asm("mov.u32 %0, 1; // not a comment" : "=r"(a)); char c = '"'; char d = '\\'';`,
    "//#for i in 0..4",
    "let x_$i = 1.0; //#end is no directive here, but stays",
    "//#end",
  ]);
  strictEqual(cCode("a /* x */ - /* y */b"), "a - b");
  strictEqual(cCode(cCode(text)), cCode(text));
  notStrictEqual(cCode('puts("a  b");'), cCode('puts("a b");'));
});

Deno.test("pythonCode() keeps what an interpreter sees", () => {
  const text = `"""What it does.

# not a comment
"""
import a   # why


def f(x):  # what
    # all of this line
    s = "# no" + '\\'# no'

    return x
# end`;
  deepStrictEqual(pythonCode(text).split("\n"), [
    '"""What it does.',
    "",
    "# not a comment",
    '"""',
    "import a",
    "def f(x):",
    `    s = "# no" + '\\'# no'`,
    "    return x",
  ]);
  strictEqual(pythonCode(pythonCode(text)), pythonCode(text));
  notStrictEqual(pythonCode("if a:\n  b\nc"), pythonCode("if a:\n  b\n  c"));
});

/** What a program prints of texts, in a folder that goes. */
async function printed(command: string, args: (file: string) => string[], texts: readonly string[]): Promise<string[]> {
  const folder = await Deno.makeTempDir();
  try {
    return await Promise.all(texts.map(async (text, i) => {
      await Deno.writeTextFile(`${folder}/${i}`, text);
      const output = await new Deno.Command(command, { args: args(`${folder}/${i}`), ...childEnvironment() }).output();
      const decoder = new TextDecoder();
      ok(output.success, decoder.decode(output.stderr));
      return decoder.decode(output.stdout);
    }));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const hasPython = await new Deno.Command("python3", { args: ["--version"], ...childEnvironment() }).output()
  .then(({ success }) => success, () => false);
if (!hasPython) console.warn("%cSKIPPED: no python3, so that stripped sources are not compared", "color: red");

/** The sources of MLA decode of some kinds. */
async function sources(...kinds: string[]): Promise<string[]> {
  const texts: string[] = [];
  for (const folder of ["cuda", "webgpu", "triton"].map((name) => new URL(`mla_decode/${name}/`, import.meta.url))) {
    for await (const { name } of Deno.readDir(folder)) {
      if (kinds.some((kind) => name.endsWith(kind))) texts.push(await Deno.readTextFile(new URL(name, folder)));
    }
  }
  ok(texts.length > 1);
  return texts;
}

Deno.test({
  name: "cCode() of our kernels is what a preprocessor leaves of them",
  ignore: !hasCompiler,
  async fn() {
    const texts = await sources(".cu", ".cuh", ".wgsl");
    const tokens = async (texts: readonly string[]) => {
      const left = await printed("cc", (file) => ["-fpreprocessed", "-E", "-P", "-x", "c++", file], texts);
      return left.map((text) => text.split(/\s+/).filter(Boolean));
    };
    const stripped = texts.map(cCode);
    deepStrictEqual(await tokens(stripped), await tokens(texts));
    stripped.forEach((text, i) => ok(text.length < texts[i].length && !/\/\/(?!#)|\/\*/.test(text)));
  },
});

Deno.test({
  name: "pythonCode() of our kernels has the syntax tree that they have",
  ignore: !hasPython,
  async fn() {
    const texts = await sources(".py");
    const program = "import ast, sys; print(ast.dump(ast.parse(open(sys.argv[1]).read())))";
    const trees = (texts: readonly string[]) => printed("python3", (file) => ["-c", program, file], texts);
    const stripped = texts.map(pythonCode);
    deepStrictEqual(await trees(stripped), await trees(texts));
    stripped.forEach((text, i) => ok(text.length < texts[i].length));
  },
});
