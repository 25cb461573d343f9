/**
 * The parameters of every kernel on every backend, without the kernels: small enough for those who only read results.
 *
 * @module
 */
import { INSTALLED_PARAMS, MLA_DECODE_PARAMS } from "./mla_decode/params.ts";
import type { ParamDomains } from "./param_domain.ts";

/** Domains by kernel, backend and parameter. */
export const KERNEL_PARAMS = {
  mla_decode: MLA_DECODE_PARAMS,
  mla_decode_sglang: INSTALLED_PARAMS,
  mla_decode_vllm: INSTALLED_PARAMS,
} as const satisfies Readonly<Record<string, Readonly<Record<string, ParamDomains>>>>;

/** The domains of a kernel's parameters on a backend, or undefined where this copy of kvtune does not know the two. */
export function paramDomains(kernel: string, backend: string): ParamDomains | undefined {
  const kernels: Readonly<Record<string, Readonly<Record<string, ParamDomains>>>> = KERNEL_PARAMS;
  const backends = Object.hasOwn(kernels, kernel) ? kernels[kernel] : {};
  return Object.hasOwn(backends, backend) ? backends[backend] : undefined;
}
