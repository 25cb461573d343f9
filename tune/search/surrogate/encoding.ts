/**
 * Configs as points: one small integer a parameter, and a distance between any two values of a parameter.
 *
 * Numbers are placed halfway between their rank and their logarithm: tile sizes double, block sizes step evenly, and both
 * should have neighbours. Two different values are also a step apart however close they lie, since hardware likes some
 * numbers (48 is not between 32 and 64). Values without an order are all equally far from each other.
 *
 * @module
 */
import type { Config, Param, ParamValue, Space } from "../../../kernels/space.ts";

/** Squared distance between two values of a parameter that are next to nothing apart, times the number of values. */
const STEP = 0.1;

/** A config as the index of each parameter's value. */
export type Point = Uint16Array;

/** A parameter with more than one value. */
export interface Axis {
  readonly name: string;
  readonly values: readonly ParamValue[];
  /** [values, values] squared distances, 0 on the diagonal and about 1 at the most. */
  readonly squared: Float64Array;
}

/** Translates between the configs of a space and points. */
export interface Encoding {
  readonly axes: readonly Axis[];
  /** Undefined where a value is none of the space's. */
  encode(config: Config): Point | undefined;
  decode(point: Point): Config;
}

/** The encoding of a space. Parameters of one value take no part. */
export function encodingOf(space: Space): Encoding {
  const varying = space.params.filter(({ values }) => values.length > 1);
  const fixed = space.params.filter(({ values }) => values.length === 1).map(({ name, values }) => [name, values[0]]);
  const axes = varying.map(axisOf);
  const indices = axes.map(({ values }) => new Map(values.map((value, i) => [value, i])));
  return {
    axes,
    encode(config) {
      const point = new Uint16Array(axes.length);
      for (let d = 0; d < axes.length; d++) {
        const index = indices[d].get(config[axes[d].name]);
        if (index === undefined) return undefined;
        point[d] = index;
      }
      return point;
    },
    decode(point) {
      const chosen = new Map<string, ParamValue>(axes.map(({ name, values }, d) => [name, values[point[d]]]));
      for (const [name, value] of fixed) chosen.set(String(name), value);
      return Object.fromEntries(space.params.map(({ name }) => [name, chosen.get(name)!]));
    },
  };
}

/** A text that is equal for equal points alone. */
export function pointKey(point: Point): string {
  return String.fromCharCode(...point);
}

function axisOf({ name, values }: Param): Axis {
  const count = values.length;
  const squared = new Float64Array(count * count);
  const places = values.length > 2 ? placesOf(values) : undefined;
  for (let i = 0; i < count; i++) {
    for (let j = 0; j < count; j++) {
      if (i === j) continue;
      squared[i * count + j] = places ? (places[i] - places[j]) ** 2 + STEP / count : 1;
    }
  }
  return { name, values, squared };
}

/** Places of ordered values in [0, 1], or undefined where they have no order. */
function placesOf(values: readonly ParamValue[]): number[] | undefined {
  const numbers = values.filter((value) => typeof value === "number");
  if (numbers.length < values.length) return undefined;
  const positive = numbers.every((value) => value > 0);
  const scaled = numbers.map((value) => positive ? Math.log(value) : value);
  const low = Math.min(...scaled);
  const width = Math.max(...scaled) - low;
  const ascending = [...numbers].sort((a, b) => a - b);
  return numbers.map((value, i) => (scaled[i] - low) / width / 2 + ascending.indexOf(value) / (numbers.length - 1) / 2);
}
