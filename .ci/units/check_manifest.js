/** Checks Kubernetes manifests on stdin against the schemas of the Kubernetes API. */
import { CronJob } from "kubernetes-models/batch/v1/CronJob";
import { ConfigMap } from "kubernetes-models/v1/ConfigMap";
import { PersistentVolumeClaim } from "kubernetes-models/v1/PersistentVolumeClaim";
import { parseAllDocuments } from "yaml";

const KINDS = { CronJob, ConfigMap, PersistentVolumeClaim };
const documents = parseAllDocuments(await new Response(Deno.stdin.readable).text()).map((document) => document.toJS());
for (const document of documents) new KINDS[document.kind](document).validate();
console.log(`${documents.map(({ kind }) => kind).join(", ")}: valid`);
