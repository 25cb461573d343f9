/** Logs for machines: one JSON document a line. */

/** Notes an event with its facts. */
export type Log = (event: string, facts?: Readonly<Record<string, unknown>>) => void;

/** A log on stdout, with the time of each event. */
export function jsonLines(write: (line: string) => void = console.log): Log {
  return (event, facts = {}) => write(JSON.stringify({ time: new Date().toISOString(), event, ...facts }));
}
