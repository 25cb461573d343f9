/** A Kubernetes CronJob that runs the plan once at a time, with the volume and the plan that it needs. */
import { stringify } from "yaml";
import { UsageError } from "../../errors.ts";
import { deadlineSeconds, type EmitOptions, GENERATED, refusePlaces, SCHEDULE_COMMAND } from "./command.ts";

const NAME = "kvtune";

/** The manifest: a ConfigMap, a PersistentVolumeClaim and a CronJob. */
export function kubernetesManifest(options: EmitOptions): string {
  const { plan, planText, timetable: { cron, timezone }, image } = options;
  refusePlaces("a CronJob", options, "it keeps everything on its volume, and Kubernetes watches it");
  if (cron.trim().split(/\s+/).length !== 5) {
    throw new UsageError(
      `Cannot emit a CronJob for --cron "${cron}": expected five fields, Kubernetes knows no seconds`,
    );
  }
  if (plan.publish.branch !== undefined) {
    throw new UsageError(
      "Cannot emit a CronJob for a plan with publish.branch: expected none, its results go to a volume, which is no repository",
    );
  }
  const metadata = { name: NAME, labels: { "app.kubernetes.io/name": NAME } };
  const gpu = plan.tune.some(({ devices }) => devices.some(({ backend }) => backend !== "webgpu"));
  const container = {
    name: NAME,
    image,
    command: [
      ...SCHEDULE_COMMAND,
      "--once",
      "--plan",
      "/etc/kvtune/plan.yaml",
      "--results",
      "/var/lib/kvtune/results",
      "--state",
      "/var/lib/kvtune/schedule",
    ],
    env: [{ name: "KVTUNE_CACHE", value: "/var/lib/kvtune/cache" }],
    ...(gpu && { resources: { limits: { "nvidia.com/gpu": 1 } } }),
    securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"] } },
    volumeMounts: [
      { name: "plan", mountPath: "/etc/kvtune", readOnly: true },
      { name: "data", mountPath: "/var/lib/kvtune" },
    ],
  };
  const documents = [
    { apiVersion: "v1", kind: "ConfigMap", metadata, data: { "plan.yaml": planText } },
    {
      apiVersion: "v1",
      kind: "PersistentVolumeClaim",
      metadata,
      spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } },
    },
    {
      apiVersion: "batch/v1",
      kind: "CronJob",
      metadata,
      spec: {
        schedule: cron,
        ...(timezone !== undefined && { timeZone: timezone }),
        concurrencyPolicy: "Forbid",
        jobTemplate: {
          spec: {
            backoffLimit: 1,
            activeDeadlineSeconds: deadlineSeconds(plan),
            template: {
              metadata: { labels: metadata.labels },
              spec: {
                restartPolicy: "Never",
                terminationGracePeriodSeconds: 60,
                containers: [container],
                volumes: [
                  { name: "plan", configMap: { name: NAME } },
                  { name: "data", persistentVolumeClaim: { claimName: NAME } },
                ],
              },
            },
          },
        },
      },
    },
  ];
  const head = `# ${GENERATED} kubernetes\n# The image has Deno, and kvtune as its working folder.\n`;
  const text = documents.map((document) =>
    stringify(document, { aliasDuplicateObjects: false, blockQuote: "literal", lineWidth: 0 })
  );
  return head + text.join("---\n");
}
