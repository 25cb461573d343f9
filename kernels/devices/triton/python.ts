/**
 * The Python process that Triton runs in, and messages to it: a JSON document a line, followed by raw bytes where it says
 * so (`kvtune_triton/frames.py`).
 *
 * @module
 */

/** What Python lacks, or that there is none: one line that says what, and what would do. */
export class PythonError extends Error {
  override readonly name = "PythonError";
}

/** An error that a request met in Python. */
export class TritonError extends Error {
  override readonly name = "TritonError";
  /** @param fatal The device's context is poisoned: only a new process helps. */
  constructor(message: string, readonly building: boolean, readonly fatal: boolean) {
    super(message);
  }
}

/** A reply and the bytes that came with it. */
export interface Reply {
  readonly [field: string]: unknown;
  readonly payload: Uint8Array<ArrayBuffer>;
}

/** Versions by name: `python`, `triton`, `torch`, `numpy`. */
export type Toolchain = Readonly<Record<string, string>>;

const FOLDER = new URL("./", import.meta.url);

/** Where a task looks for Python unless it is told: `--python`, or KVTUNE_PYTHON. */
export const DEFAULT_PYTHON = "python3";

/** A Python process, ready for requests. They are answered in order; the caller awaits each before the next. */
export class Python {
  readonly #child: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #reader: ByteReader;
  readonly toolchain: Toolchain;

  private constructor(child: Deno.ChildProcess, reader: ByteReader, toolchain: Toolchain) {
    this.#child = child;
    this.#writer = child.stdin.getWriter();
    this.#reader = reader;
    this.toolchain = toolchain;
  }

  /**
   * Starts Python.
   *
   * @param command A name on the PATH, or a path.
   * @throws {PythonError} Where there is no such command, or its Python lacks what the worker needs.
   */
  static async start(command: string): Promise<Python> {
    if (FOLDER.protocol !== "file:") {
      throw new PythonError(`Cannot run Triton from ${FOLDER.origin}: expected kvtune's files on this machine`);
    }
    let child: Deno.ChildProcess;
    try {
      child = new Deno.Command(command, {
        args: ["-u", "-m", "kvtune_triton"],
        cwd: FOLDER,
        stdin: "piped",
        stdout: "piped",
        stderr: "inherit", // The tuner reads it from this worker's own.
      }).spawn();
    } catch (error) {
      const why = error instanceof Deno.errors.NotFound ? "there is no such program" : (error as Error).message;
      throw new PythonError(
        `Cannot start Python as "${command}": ${why}, expected --python or KVTUNE_PYTHON to name one`,
      );
    }
    const reader = new ByteReader(child.stdout);
    const first = await reader.line();
    const { missing, ready } = first === undefined ? {} as Record<string, unknown> : JSON.parse(first);
    if (ready) return new Python(child, reader, ready as Toolchain);
    await child.stdin.close();
    const { code } = await child.status;
    await reader.cancel();
    throw new PythonError(missing ? String(missing) : `Python (${command}) ended with exit code ${code} as it started`);
  }

  /**
   * Sends a request and awaits its reply.
   *
   * @param payload Bytes that follow the request.
   * @throws {TritonError} Where the request failed, or Python ended.
   */
  async request(body: Readonly<Record<string, unknown>>, payload: readonly Uint8Array[] = []): Promise<Reply> {
    const bytes = payload.reduce((sum, part) => sum + part.byteLength, 0);
    const gone = () => new TritonError("Python ended without an answer", false, true);
    try {
      await this.#writer.write(new TextEncoder().encode(JSON.stringify({ ...body, bytes }) + "\n"));
      for (const part of payload) await this.#writer.write(part);
    } catch {
      throw gone();
    }
    const line = await this.#reader.line();
    if (line === undefined) throw gone();
    const message = JSON.parse(line);
    if (message.error !== undefined) throw new TritonError(message.error, message.building, message.fatal);
    return { ...message, payload: await this.#reader.bytes(message.bytes ?? 0) };
  }

  /** Lets Python end. */
  async close(): Promise<void> {
    try {
      await this.#writer.close();
    } catch { // It had ended already.
    }
    await this.#child.status;
    await this.#reader.cancel();
  }
}

/** Lines and runs of bytes from one stream. */
class ByteReader {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #rest: Uint8Array = new Uint8Array();

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#reader = stream.getReader();
  }

  /** The next line, or undefined where the stream ends. */
  async line(): Promise<string | undefined> {
    const parts: Uint8Array[] = [];
    while (true) {
      const end = this.#rest.indexOf(10);
      if (end >= 0) {
        parts.push(this.#rest.subarray(0, end));
        this.#rest = this.#rest.subarray(end + 1);
        return new TextDecoder().decode(joined(parts));
      }
      parts.push(this.#rest);
      if (!await this.#more()) return undefined;
    }
  }

  /** The next `count` bytes. */
  async bytes(count: number): Promise<Uint8Array<ArrayBuffer>> {
    const result = new Uint8Array(count);
    for (let filled = 0; filled < count;) {
      const part = this.#rest.subarray(0, count - filled);
      result.set(part, filled);
      filled += part.length;
      this.#rest = this.#rest.subarray(part.length);
      if (filled < count && !await this.#more()) throw new TritonError("Python ended within an answer", false, true);
    }
    return result;
  }

  async cancel(): Promise<void> {
    await this.#reader.cancel();
  }

  async #more(): Promise<boolean> {
    const { value } = await this.#reader.read();
    this.#rest = value ?? new Uint8Array();
    return value !== undefined;
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const result = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    result.set(part, at);
    at += part.length;
  }
  return result;
}
