import { deepStrictEqual, strictEqual, throws } from "node:assert";
import {
  parseContexts,
  parseDuration,
  parseOnly,
  parseSize,
  parseSmCounts,
  positiveNumber,
  wholeNumber,
} from "./options.ts";

Deno.test("parseContexts() reads lists, sorts them and knows k", () => {
  deepStrictEqual(parseContexts("4096,1024, 32k,1024"), [1024, 4096, 32768]);
});

Deno.test("parseContexts() names the item that is none", () => {
  throws(() => parseContexts("0,abc"), /"0" is no context length, expected whole numbers of 1 or more/);
  throws(() => parseContexts("1024,abc"), /"abc" is no context length/);
  throws(() => parseContexts(""), /"" is no context length/);
  throws(() => parseContexts("1e3"), /"1e3"/);
});

Deno.test("parseSmCounts() sorts the largest first", () => {
  deepStrictEqual(parseSmCounts("16,132,64"), [132, 64, 16]);
  throws(() => parseSmCounts("16,-1"), /"-1" is no SM count/);
});

Deno.test("parseDuration() reads seconds, minutes and hours", () => {
  deepStrictEqual(["90", "90s", "5m", "1.5h"].map(parseDuration), [90, 90, 300, 5400]);
  for (const text of ["", "0s", "-1s", "5d", "soon"]) throws(() => parseDuration(text), /is no duration, expected/);
});

Deno.test("parseSize() reads decimal and binary units", () => {
  deepStrictEqual(["100", "512MB", "2GiB", "1.5k"].map(parseSize), [100, 512e6, 2 ** 31, 1500]);
  for (const text of ["", "0", "MB", "1XB"]) throws(() => parseSize(text), /is no size, expected/);
});

Deno.test("wholeNumber() and positiveNumber() name the value and the range", () => {
  strictEqual(wholeNumber(1, 128)("16"), 16);
  for (const text of ["0", "129", "1.5", "x", ""]) throws(() => wholeNumber(1, 128)(text), /from 1 to 128/);
  strictEqual(positiveNumber("0.013"), 0.013);
  for (const text of ["0", "-1", "NaN", "Infinity", ""]) throws(() => positiveNumber(text), /no positive number/);
});

Deno.test("parseOnly() collects values by parameter", () => {
  const one = parseOnly("BLOCK_N=32,64");
  deepStrictEqual(parseOnly("qk_tile=4x4", one), { BLOCK_N: ["32", "64"], qk_tile: ["4x4"] });
  for (const text of ["BLOCK_N", "BLOCK_N=", "=32", "a=b=c", ""]) throws(() => parseOnly(text), /expected for example/);
});
