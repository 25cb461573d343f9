/**
 * Reads recordings from files of any of the known formats, compressed with gzip or not.
 *
 * @module
 */
import { basename } from "node:path";
import { gunzipSync } from "node:zlib";
import { z } from "zod";
import { firstLine, UsageError } from "../errors.ts";
import { journalTasks, recordedTask } from "./formats/journal.ts";
import { cacheSchema, closedCache, readCache } from "./formats/kernel_tuner_cache.ts";
import { readT4, t4Schema } from "./formats/t4.ts";
import { readTable, tableSchema } from "./formats/table.ts";
import { type Recorded, type Recording, recordingOf } from "./recording.ts";

const ACCEPTED = "a journal of kvtune, a table of params, columns and rows, or Kernel Tuner's cache or T4 JSON";

/**
 * The recordings of a file: one, or one for each task of a journal.
 *
 * @throws {UsageError} Where the file cannot be read, or is none of the formats.
 */
export function readRecordings(path: string): Recording[] {
  const failed = (why: string) => new UsageError(`Cannot read recording "${path}": ${why}`);
  let bytes: Uint8Array;
  try {
    bytes = Deno.readFileSync(path);
  } catch (error) {
    throw failed(`${firstLine(error)}, expected ${ACCEPTED}`);
  }
  if (startsWith(bytes, "SQLite format 3\0")) return journalTasks(path).map((task) => recordingOf(recordedTask(task)));
  try {
    const text = new TextDecoder().decode(isGzip(bytes) ? gunzipSync(bytes) : bytes);
    return [recordingOf(recordedIn(text, basename(path).replace(/(\.json)?(\.gz)?$/, "")))];
  } catch (error) {
    throw failed(`${error instanceof z.ZodError ? issueText(error) : firstLine(error)}, expected ${ACCEPTED}`);
  }
}

function recordedIn(text: string, name: string): Recorded {
  const json = parsed(text);
  if (typeof json !== "object" || json === null) throw new TypeError("it is no JSON object");
  if ("cache" in json) return readCache(cacheSchema.parse(json));
  if ("results" in json) return readT4(t4Schema.parse(json), name);
  return readTable(tableSchema.parse(json));
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    try {
      return JSON.parse(closedCache(text));
    } catch { // The first error says more.
      throw error;
    }
  }
}

function issueText({ issues: [issue] }: z.ZodError): string {
  return `${issue.path.join(".") || "it"}: ${issue.message}`;
}

function isGzip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b;
}

function startsWith(bytes: Uint8Array, text: string): boolean {
  return new TextDecoder().decode(bytes.subarray(0, text.length)) === text;
}
