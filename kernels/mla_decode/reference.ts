/**
 * MLA decode in float64, on the values that the inputs hold, and the comparison with a device's outputs.
 *
 * For each (request, head): logits `sₜ = smScale · kvScale · q · kₜ`, capped where asked; `out = kvScale · Σ pₜ kₜ[0…latent)`
 * with `p = softmax(s)`, and `lse = ln Σ exp(sₜ)`. A sink adds `exp(sink)` to the softmax's denominator and not to `lse`,
 * so that partial results can be merged before the sink is applied once (FlashMLA's convention). An empty request gives
 * zeros and −∞.
 *
 * @module
 */
import type { HostTensor } from "../devices/device.ts";
import { decodeE4M3Array } from "../fp8.ts";
import { decodeBf16Array, decodeF16Array } from "../half.ts";
import type { Check, Reference } from "../kernel.ts";
import type { Config } from "../space.ts";
import { generator } from "./inputs.ts";
import type { MlaDecodeProblem } from "./problem.ts";

/** Multiply-adds that the reference may cost before rows are sampled: about half a second. */
const BUDGET = 3e8;

/** Relative error that accumulation may cause. "matrix" is for units that multiply f16 operands and sum in f32. */
const TOLERANCE: Readonly<Record<string, number>> = { f32: 2e-5, f16: 3e-3, matrix: 3e-3, fp8_p: 4e-2 };
/** What rounding of the output itself adds: half a unit in the last place. */
const ROUNDING: Readonly<Record<string, number>> = { f32: 0, f16: 2 ** -11, bf16: 2 ** -8 };
/** Half the smallest step of the output's type (f32 and bf16 may flush subnormals): a sink can leave an output that small. */
const FLOOR: Readonly<Record<string, number>> = { f32: 2 ** -126, f16: 2 ** -25, bf16: 2 ** -126 };
/**
 * Absolute error of the log-sum-exp. `ACC` f16 keeps logits in f32. Matrix units round what makes a logit, by a share of it;
 * exp(lse) is the weight with which partial results merge, so the bound is what rounding to bf16 does to any output.
 */
const LSE_TOLERANCE: Readonly<Record<string, number>> = { f32: 1e-4, f16: 1e-4, matrix: 2 ** -8 };
/** One row may be off by so many times the tolerance of all: flat heads cancel to small outputs. */
const ROW_FACTOR = 10;

/** One (request, head): its row in `out` and `lse`, and what both should be. */
interface ReferenceRow {
  readonly row: number;
  readonly out: Float64Array;
  readonly lse: number;
}

/**
 * Bounds on the errors of a config: relative error of all rows, of each row, and absolute error of the log-sum-exp.
 *
 * They follow the config's `ACC`, "f32" or "f16"; a config without `ACC` runs on matrix units with f16 operands, or
 * with what else the problem's accuracy admits.
 */
export function tolerance(
  { ioType, accuracy }: MlaDecodeProblem,
  config: Config,
): { out: number; row: number; lse: number } {
  const acc = String(config.ACC ?? "matrix");
  const out = (acc === "matrix" && accuracy === "fp8_p" ? TOLERANCE.fp8_p : TOLERANCE[acc] ?? TOLERANCE.matrix) +
    ROUNDING[ioType];
  return { out, row: out * ROW_FACTOR, lse: LSE_TOLERANCE[acc] ?? LSE_TOLERANCE.matrix };
}

/** A reference over all rows, or over the first, the last and a fixed sample where all would take too long. */
export function reference(
  problem: MlaDecodeProblem,
  inputs: readonly HostTensor[],
  budget: number = BUDGET,
): Reference {
  const rows = referenceRows(problem, inputs, sampledRows(problem, budget));
  return { check: (outputs, config) => check(problem, rows, outputs, config) };
}

/** Rows (request · heads + head) in ascending order, within the budget of multiply-adds but two at the least. */
export function sampledRows({ batch, heads, latent, rope, contextLens }: MlaDecodeProblem, budget: number): number[] {
  const total = batch * heads;
  const cost = (row: number) => contextLens[Math.floor(row / heads)] * (2 * latent + rope);
  let whole = 0;
  for (let b = 0; b < batch; b++) whole += heads * cost(b * heads);
  if (whole <= budget) return Array.from({ length: total }, (_, row) => row);
  const rows = new Set([0, total - 1]);
  let spent = cost(0) + cost(total - 1);
  const random = generator(total);
  for (let tries = 0; tries < 4 * total; tries++) {
    const row = random() % total;
    if (rows.has(row) || spent + cost(row) > budget) continue;
    rows.add(row);
    spent += cost(row);
  }
  return [...rows].sort((a, b) => a - b);
}

function referenceRows(problem: MlaDecodeProblem, inputs: readonly HostTensor[], rows: number[]): ReferenceRow[] {
  const { heads, latent, rope } = problem;
  const width = latent + rope;
  const tensor = (name: string) => inputs.find((input) => input.name === name)!;
  const [q, cache] = [tensor("q"), tensor("cache")];
  const indptr = tensor("kv_indptr").data;
  const indices = tensor("kv_indices").data;
  const sinks = problem.sinks ? tensor("sinks").data : undefined;
  const result: ReferenceRow[] = [];
  for (let first = 0; first < rows.length;) {
    // The rows of one request go together, so that each cache row is decoded for all of them at once.
    const b = Math.floor(rows[first] / heads);
    let last = first;
    while (last < rows.length && Math.floor(rows[last] / heads) === b) last++;
    const group = rows.slice(first, last);
    first = last;
    const softmaxes = group.map((row) => {
      const data = q.data.subarray(row * width, (row + 1) * width);
      return new OnlineSoftmax(decode({ type: q.type, data }), problem);
    });
    const slots = indices.subarray(indptr[b], indptr[b + 1]);
    eachBlock(cache, slots, width, (block, count) => {
      for (const softmax of softmaxes) softmax.add(block, count);
    });
    group.forEach((row, r) => result.push({ row, ...softmaxes[r].result(sinks?.[row % heads]) }));
  }
  return result;
}

/** Tokens that are decoded and multiplied together: as many sums that need not wait for one another. */
const BLOCK = 4;

/**
 * One query over its tokens, in one pass: weights are relative to the largest logit so far, and what was summed shrinks when
 * a larger one comes ("Online normalizer calculation for softmax", Milakov and Gimelshein, 2018).
 */
class OnlineSoftmax {
  readonly #query: Float64Array;
  readonly #problem: MlaDecodeProblem;
  readonly #out: Float64Array;
  readonly #weights = new Float64Array(BLOCK);
  #max = -Infinity;
  #sum = 0;

  constructor(query: ArrayLike<number>, problem: MlaDecodeProblem) {
    this.#query = Float64Array.from(query);
    this.#problem = problem;
    this.#out = new Float64Array(problem.latent);
  }

  /** Adds a block of rows `[BLOCK, query's width]`, of which the first `count` are tokens. */
  add(block: Float64Array, count: number): void {
    const weights = this.#weights;
    dots(this.#query, block, weights);
    let max = this.#max;
    for (let i = 0; i < BLOCK; i++) {
      weights[i] = i < count ? logit(this.#problem, weights[i]) : -Infinity;
      if (weights[i] > max) max = weights[i];
    }
    if (max > this.#max) {
      const shrink = Math.exp(this.#max - max);
      for (let c = 0; c < this.#out.length; c++) this.#out[c] *= shrink;
      this.#sum *= shrink;
      this.#max = max;
    }
    for (let i = 0; i < BLOCK; i++) this.#sum += weights[i] = Math.exp(weights[i] - max);
    addWeighted(this.#out, block, this.#query.length, weights);
  }

  /** The outputs, and the log-sum-exp without the sink. */
  result(sink: number | undefined): { out: Float64Array; lse: number } {
    if (this.#max === -Infinity) return { out: this.#out, lse: -Infinity };
    const denominator = this.#sum + (sink === undefined ? 0 : Math.exp(sink - this.#max));
    const weight = this.#problem.kvScale / denominator;
    return { out: this.#out.map((x) => x * weight), lse: this.#max + Math.log(this.#sum) };
  }
}

function logit({ smScale, kvScale, logitCap }: MlaDecodeProblem, dotProduct: number): number {
  const s = smScale * kvScale * dotProduct;
  return logitCap === 0 ? s : logitCap * Math.tanh(s / logitCap);
}

/** The query times each of the block's rows. */
function dots(query: Float64Array, block: Float64Array, into: Float64Array): void {
  const width = query.length;
  let [s0, s1, s2, s3] = [0, 0, 0, 0];
  for (let c = 0; c < width; c++) {
    const x = query[c];
    s0 += x * block[c];
    s1 += x * block[width + c];
    s2 += x * block[2 * width + c];
    s3 += x * block[3 * width + c];
  }
  into[0] = s0;
  into[1] = s1;
  into[2] = s2;
  into[3] = s3;
}

/** Adds the first columns of the block's rows, weighted. */
function addWeighted(out: Float64Array, block: Float64Array, width: number, weights: Float64Array): void {
  const [p0, p1, p2, p3] = weights;
  for (let c = 0; c < out.length; c++) {
    out[c] += p0 * block[c] + p1 * block[width + c] + (p2 * block[2 * width + c] + p3 * block[3 * width + c]);
  }
}

/** Calls `use` with the decoded cache rows of each {@linkcode BLOCK} slots; the array is reused. */
function eachBlock(
  cache: HostTensor,
  indices: HostTensor["data"],
  width: number,
  use: (block: Float64Array, count: number) => void,
): void {
  const block = new Float64Array(BLOCK * width);
  const slots = cache.data.length / width; // A large cache repeats them.
  for (let t = 0; t < indices.length; t += BLOCK) {
    const count = Math.min(BLOCK, indices.length - t);
    for (let i = 0; i < count; i++) decodeRow(cache, (indices[t + i] % slots) * width, block, i * width, width);
    use(block, count);
  }
}

function decodeRow({ type, data }: HostTensor, from: number, block: Float64Array, to: number, width: number): void {
  const codes = data.subarray(from, from + width);
  // With few heads a request, decoding is half of the work: no array between.
  if (type === "e4m3") decodeE4M3Array(codes as Uint8Array, block.subarray(to, to + width));
  else block.set(decode({ type, data: codes }), to);
}

function decode({ type, data }: Pick<HostTensor, "type" | "data">): Float32Array {
  if (data instanceof Float32Array) return data;
  const out = new Float32Array(data.length);
  if (type === "e4m3") decodeE4M3Array(data as Uint8Array, out);
  else if (type === "f16") decodeF16Array(data as Uint16Array, out);
  else if (type === "bf16") decodeBf16Array(data as Uint16Array, out);
  else out.set(data);
  return out;
}

function check(
  problem: MlaDecodeProblem,
  rows: readonly ReferenceRow[],
  outputs: ReadonlyMap<string, HostTensor>,
  config: Config,
): Check {
  const { batch, heads, latent } = problem;
  const bound = tolerance(problem, config);
  const wrong = (why: string): Check => ({ ok: false, relError: Infinity, errors: {}, why });
  const outTensor = outputs.get("out");
  const lseTensor = outputs.get("lse");
  if (!outTensor || !lseTensor) return wrong(`output "${outTensor ? "lse" : "out"}" is missing`);
  const out = decode(outTensor);
  const lse = decode(lseTensor);
  if (out.length !== batch * heads * latent) return wrong(`out has ${out.length} elements`);
  if (lse.length !== batch * heads) return wrong(`lse has ${lse.length} elements`);
  // NaN is also what buffers are poisoned with before a checked run: it means "not written" as well as "not a number".
  for (let i = 0; i < out.length; i++) {
    if (!Number.isFinite(out[i])) return wrong(`out[${place(i, heads, latent)}] is ${out[i]}, or was never written`);
  }
  for (let i = 0; i < lse.length; i++) {
    if (Number.isNaN(lse[i])) return wrong(`lse[${Math.floor(i / heads)}, ${i % heads}] is NaN, or was never written`);
  }
  let [squares, errorSquares, rowError, lseError] = [0, 0, 0, 0];
  for (const { row, out: expected, lse: expectedLse } of rows) {
    let [norm, error] = [0, 0];
    for (let c = 0; c < latent; c++) {
      norm += expected[c] ** 2;
      error += (out[row * latent + c] - expected[c]) ** 2;
    }
    // What the output's type cannot hold is no error of the kernel's.
    error = Math.max(0, Math.sqrt(error) - Math.sqrt(latent) * FLOOR[problem.ioType]) ** 2;
    squares += norm;
    errorSquares += error;
    rowError = Math.max(rowError, relative(error, norm));
    const difference = lse[row] === expectedLse ? 0 : Math.abs(lse[row] - expectedLse);
    lseError = Math.max(lseError, difference);
  }
  const relError = relative(errorSquares, squares);
  const errors = { lseError, rowError, rows: rows.length };
  const why = relError > bound.out
    ? `relative error ${relError.toExponential(2)} exceeds ${bound.out.toExponential(2)}`
    : rowError > bound.row
    ? `relative error of one row, ${rowError.toExponential(2)}, exceeds ${bound.row.toExponential(2)}`
    : lseError > bound.lse
    ? `log-sum-exp is off by ${lseError.toExponential(2)}, more than ${bound.lse.toExponential(2)}`
    : undefined;
  return why === undefined ? { ok: true, relError, errors } : { ok: false, relError, errors, why };
}

/** √(error / norm) of squares; 0 where both are 0. */
function relative(error: number, norm: number): number {
  return error === 0 ? 0 : Math.sqrt(error / norm);
}

function place(i: number, heads: number, latent: number): string {
  const row = Math.floor(i / latent);
  return `${Math.floor(row / heads)}, ${row % heads}, ${i % latent}`;
}
