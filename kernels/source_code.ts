/**
 * Sources without what no compiler sees, so that a comment does not make measured results stale.
 *
 * @module
 */

/** Kept: strings, characters and the directives of WGSL templates. Else runs of blanks and comments. */
const C = /("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])'|\/\/#[^\n]*)|(?:\s|\/\/(?!#)[^\n]*|\/\*[^]*?\*\/)+/g;
const BLOCK_COMMENT = /\/\*[^]*?\*\//g;

/** Kept: strings. Else ends of lines, with what is blank or a comment before them and in the lines after. */
const PYTHON =
  /("""(?:\\[^]|[^\\])*?"""|'''(?:\\[^]|[^\\])*?'''|"(?:\\[^]|[^"\\\n])*"|'(?:\\[^]|[^'\\\n])*')|(?:[ \t]*(?:#[^\n]*)?\n)+/g;

/**
 * CUDA C++ or WGSL without comments, and with one blank or end of line for several. Directives of templates (`//#if`) stay.
 *
 * ```ts
 * import { cCode } from "./source_code.ts";
 *
 * cCode("int a;   // one\n\nint b; // two\n"); // "int a;\nint b;"
 * ```
 */
export function cCode(text: string): string {
  return text.replace(C, (gap, kept?: string) => kept ?? (gap.replace(BLOCK_COMMENT, "").includes("\n") ? "\n" : " "))
    .trim();
}

/**
 * Python without comments, blank lines and blanks at the ends of lines. Docstrings stay: a program may read them.
 *
 * ```ts
 * import { pythonCode } from "./source_code.ts";
 *
 * pythonCode("a = 1  # one\n\n# two\nb = '# 3'\n"); // "a = 1\nb = '# 3'"
 * ```
 */
export function pythonCode(text: string): string {
  return `${text}\n`.replace(PYTHON, (_, kept?: string) => kept ?? "\n").trim();
}
