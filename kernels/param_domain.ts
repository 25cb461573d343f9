/**
 * What a value of a parameter may be, on any device: what readers of configs check, and what types are made from.
 *
 * A space ({@linkcode ./space.ts}) says which values are tried on one device; a domain says which ones mean anything to
 * the kernel at all.
 *
 * @module
 */
import type { ParamValue } from "./space.ts";

/** Whole numbers from `min` to `max`, multiples of `step` (1 where absent). */
export interface IntegerDomain {
  /** The least. */
  readonly min: number;
  /** The largest. */
  readonly max: number;
  /** What all are multiples of. */
  readonly step?: number;
}

/** One of some values. */
export interface ChoiceDomain {
  /** All of them. */
  readonly oneOf: readonly ParamValue[];
}

/** Two whole numbers from 1 up with an `x` between: "4x8". */
export interface ShapeDomain {
  /** How the two are written. */
  readonly shape: "AxB";
}

/** What a value of a parameter may be. */
export type ParamDomain = IntegerDomain | ChoiceDomain | ShapeDomain;

/** The domain of each parameter of an implementation. */
export type ParamDomains = Readonly<Record<string, ParamDomain>>;

/** The type of a value in a domain. */
export type ValueIn<D extends ParamDomain> = D extends ChoiceDomain ? D["oneOf"][number]
  : D extends ShapeDomain ? `${number}x${number}`
  : number;

/** A config of parameters with these domains. */
export type ConfigIn<D extends ParamDomains> = { readonly [Name in keyof D]: ValueIn<D[Name]> };

/** Whether `value` is in the domain. */
export function inDomain(domain: ParamDomain, value: unknown): boolean {
  if ("oneOf" in domain) return domain.oneOf.includes(value as ParamValue);
  if ("shape" in domain) return typeof value === "string" && /^[1-9][0-9]{0,3}x[1-9][0-9]{0,3}$/.test(value);
  const { min, max, step = 1 } = domain;
  return Number.isInteger(value) && value as number >= min && value as number <= max && value as number % step === 0;
}

/** What is in the domain, in a few words, for messages. */
export function domainText(domain: ParamDomain): string {
  if ("oneOf" in domain) return domain.oneOf.map((value) => JSON.stringify(value)).join(" or ");
  if ("shape" in domain) return 'two integers as in "4x8"';
  const { min, max, step = 1 } = domain;
  return `${step === 1 ? "an integer" : `a multiple of ${step}`} from ${min} to ${max}`;
}
