/**
 * Holds the configs of a results file against what the kernel's parameters may be.
 *
 * @module
 */
import { domainText, inDomain, type ParamDomains } from "../kernels/param_domain.ts";
import { paramDomains } from "../kernels/params.ts";
import { type Config, type Results, sizesOf } from "./types.ts";

/**
 * Checks every config and baseline. A kernel or backend that this copy of kvtune does not know passes: its files are for
 * those who do.
 *
 * @throws {TypeError} Where a config has a parameter that the kernel has not on that backend.
 * @throws {RangeError} Where a value is none that the parameter can have. Both name the path.
 */
export function checkParams({ kernel, backend, configs, evidence }: Results): void {
  const domains = paramDomains(kernel, backend);
  if (domains === undefined) return;
  const where = `of ${kernel} on ${backend}`;
  for (const { smCount, contextLen } of sizesOf(configs)) {
    const size = `["${smCount}"]["${contextLen}"]`;
    checkConfig(domains, configs[smCount][contextLen], `configs${size}`, where);
    checkConfig(domains, evidence[smCount][contextLen].baselineConfig, `evidence${size}.baselineConfig`, where);
  }
}

function checkConfig(domains: ParamDomains, config: Config, path: string, where: string): void {
  for (const [name, value] of Object.entries(config)) {
    if (!Object.hasOwn(domains, name)) {
      const known = Object.keys(domains).join(", ");
      throw new TypeError(
        `Cannot read results: ${path} has the unknown parameter "${name}", expected those ${where}: ${known}`,
      );
    }
    if (!inDomain(domains[name], value)) {
      const expected = `${domainText(domains[name])}, as ${name} ${where} is`;
      throw new RangeError(`Cannot read results: ${path}.${name} is ${JSON.stringify(value)}, expected ${expected}`);
    }
  }
}
