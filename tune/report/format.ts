/** Numbers and configs as people read them. */
import type { Config } from "../../kernels/space.ts";
import type { Interval } from "../measure/statistics.ts";

/** Three significant digits, no exponent: 0.0123, 1.23, 12.3, 123, 1234. */
export function digits3(value: number): string {
  if (!Number.isFinite(value)) return "–";
  const magnitude = Math.floor(Math.log10(Math.abs(value) || 1));
  return value.toFixed(Math.min(6, Math.max(0, 2 - magnitude)));
}

/** `1.42× [1.38, 1.47]` */
export function speedupText(speedup: number, [low, high]: Interval): string {
  return `${speedup.toFixed(2)}× [${low.toFixed(2)}, ${high.toFixed(2)}]`;
}

/** `BLOCK_N 32, num_stages 2, …` */
export function configText(config: Config): string {
  return Object.entries(config).map(([name, value]) => `${name} ${value}`).join(", ");
}

/** `4:05` or `1:02:03` from seconds. */
export function clockText(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (value: number) => String(value).padStart(2, "0");
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** `1.5 GB`, in decimal units. */
export function bytesText(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  const unit = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  return `${digits3(bytes / 1000 ** unit)} ${units[unit]}`;
}

/** `+1.2 %` or `−3.4 %` from a share. */
export function percentText(share: number): string {
  return `${share < 0 ? "−" : "+"}${(100 * Math.abs(share)).toFixed(1)} %`;
}
