/**
 * The pages that people browse: plain tables, no script, nothing from elsewhere.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { type RegistryIndex, type Results, resultsPath, sizesOf } from "../../results/mod.ts";
import { bytesText, configText, digits3, speedupText } from "../report/format.ts";
import { html, Markup } from "./html.ts";

const STYLE = `
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 80rem; padding: 0 1rem; }
table { border-collapse: collapse; }
th, td { border-bottom: 1px solid #ccc; padding: .25rem .75rem; text-align: left; vertical-align: top; }
td.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
@media (prefers-color-scheme: dark) { body { background: #111; color: #ddd; } a { color: #8bf; } }
`;

/** Nothing is loaded, framed, sent or run; the one style sheet is known by its hash. */
export const PAGE_POLICY = [
  "default-src 'none'",
  `style-src 'sha256-${createHash("sha256").update(STYLE).digest("base64")}'`,
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** Where the page of a results file is. */
export function pagePath(path: string): string {
  return path.replace(/\.json$/, ".html");
}

/** The registry's own page: a line for each file. */
export function indexPage(index: RegistryIndex | undefined): string {
  const files = Object.entries(index?.files ?? {});
  const rows = files.map(([path, entry]) =>
    html`
      <tr>
        <td>${entry.kernel}</td>
        <td>${entry.backend}</td>
        <td>${entry.device}</td>
        <td><a href="/${pagePath(path)}">${entry.problem}</a></td>
        <td class="n">${entry.entries}</td>
        <td class="n">${entry.tuned}</td>
        <td class="n">${entry.bestSpeedup === undefined ? "–" : `${entry.bestSpeedup.toFixed(2)}×`}</td>
        <td>${entry.newest?.slice(0, 10) ?? "–"}</td>
        <td class="n">${bytesText(entry.bytes)}</td>
      </tr>
    `
  );
  const body = index === undefined
    ? html`<p>This folder has no index.json: <code>deno run tune index</code> makes it.</p>`
    : html`
      <p>${files.length} files, listed with their SHA-256 in <a href="/index.json">index.json</a>.</p>
      <table>
        <thead>
          <tr>
            <th>kernel</th>
            <th>backend</th>
            <th>device</th>
            <th>problem</th>
            <th>sizes</th>
            <th>tuned</th>
            <th>best</th>
            <th>newest</th>
            <th>size</th>
          </tr>
        </thead>
        <tbody>
      ${rows}</tbody>
      </table>
    `;
  return page("kvtune results", body);
}

/** The page of one results file: a line for each size. */
export function resultsPage(results: Results): string {
  const { kernel, backend, device, configs, evidence } = results;
  const path = resultsPath(results);
  const problem = path.split("/")[3].replace(/\.json$/, "");
  const rows = sizesOf(configs).map(({ smCount, contextLen }) => {
    const support = evidence[smCount][contextLen];
    return html`
      <tr>
        <td class="n">${smCount}</td>
        <td class="n">${contextLen}</td>
        <td>${configText(configs[smCount][contextLen])}${support.chosen === "baseline" ? " (baseline)" : ""}</td>
        <td class="n">${digits3(support.us)}</td>
        <td class="n">${digits3(support.gbps)}</td>
        <td class="n">${speedupText(support.speedup, support.speedupInterval)}</td>
        <td class="n">${bytesText(support.workspaceBytes)}</td>
        <td>${support.date.slice(0, 10)}</td>
      </tr>
    `;
  });
  const unit = device.software ? "threads" : "SMs";
  const cpu = sizesOf(evidence).some(({ smCount, contextLen }) => evidence[smCount][contextLen].clock === "cpu");
  return page(
    `${problem} on ${device.name}`,
    html`
      <p><a href="/">All results</a></p>
      <p>${kernel} (${backend}), ${device.smCount} ${unit}: <a href="/${path}">${path}</a></p>
      <table>
        <thead>
          <tr>
            <th>${unit}</th>
            <th>context</th>
            <th>config</th>
            <th>${cpu ? "CPU µs" : "µs"}</th>
            <th>GB/s</th>
            <th>× baseline [95 %]</th>
            <th>workspace</th>
            <th>measured</th>
          </tr>
        </thead>
        <tbody>
      ${rows}</tbody>
      </table>
    `,
  );
}

function page(title: string, body: Markup): string {
  return html`
    <!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>${title}</title>
        <style>${new Markup(STYLE)}</style>
      </head>
      <body><h1>${title}</h1>
    ${body}
      </body>
    </html>
  `.text.trimStart();
}
