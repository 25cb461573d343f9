import { strictEqual } from "node:assert";
import { isSteady } from "./steady_state.ts";

Deno.test("isSteady() waits for four rounds that vary by 1 % at most, whatever came before", () => {
  strictEqual(isSteady([100, 100, 100]), false);
  strictEqual(isSteady([100, 100, 100, 100]), true);
  strictEqual(isSteady([300, 200, 100, 101, 100, 99]), true);
  strictEqual(isSteady([100, 103, 100, 103]), false);
});

Deno.test("isSteady() sees a slow ramp, whose neighbours differ by under 1 %", () => {
  strictEqual(isSteady([100, 99.1, 98.2, 97.3]), false);
});
