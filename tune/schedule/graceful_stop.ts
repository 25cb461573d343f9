/**
 * A stop in two steps: asked once, the candidate that is being measured ends and its row is kept; asked again, or when
 * patience is over, all ends at once.
 *
 * @module
 */

/** Below what systemd (90 s) and Kubernetes (30 s) wait between SIGTERM and SIGKILL. */
const PATIENCE_SECONDS = 20;

/** A stop that may be asked for while something is measured. */
export class GracefulStop implements Disposable {
  #controller = new AbortController();
  #asked = Promise.withResolvers<void>();
  #over = Promise.withResolvers<void>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #requested = false;

  constructor(readonly patienceSeconds = PATIENCE_SECONDS) {}

  /** Aborts when everything has to end. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** True once a stop was asked for: nothing new is begun. */
  get requested(): boolean {
    return this.#requested;
  }

  /** Resolves once a stop was asked for. */
  get asked(): Promise<void> {
    return this.#asked.promise;
  }

  /** Resolves when patience is over, or a stop was asked for twice: what has not ended by then is left as it is. */
  get over(): Promise<void> {
    return this.#over.promise;
  }

  /** Asks for a stop; asked twice, it is immediate. */
  request(): void {
    if (this.#requested) return this.#end();
    this.#requested = true;
    this.#asked.resolve();
    this.#timer = setTimeout(() => this.#end(), this.patienceSeconds * 1000);
  }

  #end(): void {
    this.#controller.abort();
    this.#over.resolve();
  }

  /** Notes a moment at which nothing is half done, and takes it to stop where that was asked for. */
  pause(): void {
    if (this.#requested) this.#controller.abort();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}

/** Runs work that SIGTERM and SIGINT ask to stop. */
export async function stoppable<T>(work: (stop: GracefulStop) => Promise<T>): Promise<T> {
  using stop = new GracefulStop();
  const request = () => stop.request();
  Deno.addSignalListener("SIGTERM", request);
  Deno.addSignalListener("SIGINT", request);
  try {
    return await work(stop);
  } finally {
    Deno.removeSignalListener("SIGTERM", request);
    Deno.removeSignalListener("SIGINT", request);
  }
}
