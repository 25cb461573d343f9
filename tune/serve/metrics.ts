/** What `/metrics` says, in Prometheus' text format. The only module that knows the metrics library. */
import { Counter, Gauge, Histogram, Registry } from "prom-client";

/** Counts what the server does. */
export interface ServerMetrics {
  /** One request was answered. */
  answered(method: string, status: number, seconds: number, bytes: number): void;
  /** A connection was closed for its client: too slow, too large, malformed, or one too many. */
  refused(why: string): void;
  text(): Promise<string>;
}

/** Methods that have a label of their own: a client can make up any number of others. */
const METHODS = ["GET", "HEAD", "OPTIONS"];

/** Counters of one server. The gauges are read when the text is. */
export function serverMetrics(read: { connections: () => number; cachedBytes: () => number }): ServerMetrics {
  const registers = [new Registry()];
  const requests = new Counter({
    name: "kvtune_http_requests_total",
    help: "Requests answered",
    labelNames: ["method", "status"],
    registers,
  });
  const seconds = new Histogram({
    name: "kvtune_http_request_seconds",
    help: "Time from a request to the end of its answer",
    buckets: [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10],
    registers,
  });
  const bytes = new Counter({ name: "kvtune_http_body_bytes_total", help: "Bytes of bodies sent", registers });
  const refused = new Counter({
    name: "kvtune_http_refused_total",
    help: "Connections closed for their client",
    labelNames: ["why"],
    registers,
  });
  const gauge = (name: string, help: string, value: () => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(value());
      },
    });
  gauge("kvtune_http_connections", "Open connections", read.connections);
  gauge("kvtune_cached_bytes", "Bytes of files held in memory", read.cachedBytes);
  gauge("process_resident_memory_bytes", "Memory of the server's process", () => Deno.memoryUsage().rss);
  return {
    answered(method, status, time, length) {
      requests.inc({ method: METHODS.includes(method) ? method : "other", status: String(status) });
      seconds.observe(time);
      bytes.inc(length);
    },
    refused: (why) => refused.inc({ why }),
    text: () => registers[0].metrics(),
  };
}
