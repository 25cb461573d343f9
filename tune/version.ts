/** kvtune's version, as evidence records it. */
import config from "../deno.json" with { type: "json" };

/** The version of this copy of kvtune. */
export const VERSION: string = config.version;
