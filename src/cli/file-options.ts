/** The options that every command on the two files takes; the environment names them where the command line does not. */
import { parseArgs } from "node:util";
import type { ResourcesContext } from "../config/load.js";

export interface FileOptions {
  readonly config: string | null;
  readonly resources: string | null;
  readonly ignoreUnsupported: boolean;
}

/** null: the command line holds something else. */
export function readFileOptions(
  argv: readonly string[],
  environment: ResourcesContext["environment"],
): FileOptions | null {
  try {
    const { values } = parseArgs({
      args: [...argv],
      options: {
        config: { type: "string" },
        resources: { type: "string" },
        "ignore-unsupported": { type: "boolean", default: false },
      },
    });
    return {
      config: values.config ?? (environment.WEIR_CONFIG || null),
      resources: values.resources ?? (environment.WEIR_RESOURCES || null),
      ignoreUnsupported: values["ignore-unsupported"],
    };
  } catch {
    return null;
  }
}
