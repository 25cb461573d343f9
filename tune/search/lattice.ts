/**
 * The points of a space: all of them where they can be listed, drawn at random where not.
 *
 * @module
 */
import { brokenConstraint, type Config, type Space } from "../../kernels/space.ts";
import { listing, sampler } from "./listing.ts";
import { type Encoding, encodingOf, type Point, pointKey } from "./surrogate/encoding.ts";

/** Draws of a point that was not taken before, after which a large space counts as used up. */
const DRAWS = 1000;

/** A space whose admitted configs are points. */
export class Lattice {
  readonly encoding: Encoding;
  /** Every admitted point, where they can be listed. */
  readonly listed: readonly Point[] | undefined;
  #keys: ReadonlySet<string> | undefined;

  private constructor(readonly space: Space) {
    this.encoding = encodingOf(space);
    this.listed = listing(space)?.map((config) => this.encoding.encode(config)!);
    this.#keys = this.listed && new Set(this.listed.map(pointKey));
  }

  static #known = new WeakMap<Space, Lattice>();

  /** The lattice of a space, made once. */
  static of(space: Space): Lattice {
    const known = Lattice.#known.get(space) ?? new Lattice(space);
    Lattice.#known.set(space, known);
    return known;
  }

  admits(point: Point): boolean {
    return this.#keys ? this.#keys.has(pointKey(point)) : !brokenConstraint(this.space, this.encoding.decode(point));
  }

  /** The point of a config that the space admits, or undefined. */
  pointOf(config: Config): Point | undefined {
    const point = this.encoding.encode(config);
    return point && this.admits(point) ? point : undefined;
  }

  /** Draws admitted points that are not among `taken`, each equally likely; undefined where none is left. */
  draws(random: () => number, taken: { has(key: string): boolean }): () => Point | undefined {
    const { listed } = this;
    const sample = listed ? () => listed[Math.floor(random() * listed.length)] : undefined;
    const config = sampler(this.space, random);
    const one = sample ?? (() => {
      const drawn = config();
      return drawn && this.encoding.encode(drawn);
    });
    return () => {
      for (let draw = 0; draw < DRAWS; draw++) {
        const point = one();
        if (!point) return undefined;
        if (!taken.has(pointKey(point))) return point;
      }
      return listed?.find((point) => !taken.has(pointKey(point)));
    };
  }

  /** The admitted points that differ from `point` in one parameter. */
  *neighbours(point: Point): Generator<Point> {
    for (let d = 0; d < point.length; d++) {
      for (let value = 0; value < this.encoding.axes[d].values.length; value++) {
        if (value === point[d]) continue;
        const other = point.slice();
        other[d] = value;
        if (this.admits(other)) yield other;
      }
    }
  }
}
