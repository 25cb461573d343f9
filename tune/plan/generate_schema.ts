/**
 * Writes `schema.json` from the code: `deno run --allow-write=tune/plan tune/plan/generate_schema.ts`.
 *
 * @module
 */
import { z } from "zod";
import { planSchema } from "./plan.ts";

/** The JSON Schema of plan files, as the text of `schema.json`. */
export function planSchemaText(): string {
  const { $schema, ...rest } = z.toJSONSchema(planSchema, { io: "input" });
  const document = { $schema, title: "kvtune plan", description: "What kvtune keeps tuned, and where.", ...rest };
  return JSON.stringify(document, null, 2) + "\n";
}

if (import.meta.main) Deno.writeTextFileSync(new URL("./schema.json", import.meta.url), planSchemaText());
