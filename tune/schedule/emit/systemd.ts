/** A systemd service that runs the scheduled job. */
import { basename } from "node:path";
import { type EmitOptions, GENERATED, SCHEDULE_COMMAND } from "./command.ts";

/** The unit's text: `kvtune.service`. */
export function systemdUnit({ planPath, timetable, root, deno, user, places }: EmitOptions): string {
  const { cron, timezone } = timetable;
  const args = [
    deno,
    ...SCHEDULE_COMMAND.slice(1),
    "--plan",
    planPath,
    "--cron",
    cron,
    ...(timezone === undefined ? [] : ["--timezone", timezone]),
    ...Object.entries(places).flatMap(([name, value]) => value === undefined ? [] : [`--${name}`, value]),
  ];
  return `# ${GENERATED} systemd
# /etc/systemd/system/kvtune.service, then: systemctl daemon-reload && systemctl enable --now kvtune
[Unit]
Description=kvtune: re-tunes what has gone stale, by ${escape(basename(planPath))}
Wants=network-online.target
After=network-online.target

[Service]
Type=exec
User=${user}
WorkingDirectory=${escape(root)}
ExecStart=${args.map(quoted).join(" ")}
Restart=on-failure
RestartSec=60
# The first signal goes to kvtune alone: it lets the current candidate end.
KillMode=mixed
TimeoutStopSec=60
NoNewPrivileges=yes
ProtectSystem=full
PrivateTmp=yes

[Install]
WantedBy=multi-user.target
`;
}

/** systemd expands % and $ in values and arguments. */
function escape(text: string): string {
  return text.replaceAll("%", "%%");
}

function quoted(arg: string): string {
  const text = escape(arg).replaceAll("$", "$$$$").replaceAll("\\", "\\\\").replaceAll('"', '\\"');
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(text) ? text : `"${text}"`;
}
