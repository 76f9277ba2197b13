/** The shared files of AWS (~/.aws/credentials, ~/.aws/config): profiles by name. */
import { join } from "node:path";
import type { AuthContext } from "./auth.js";
import { parseIni, type Sections } from "./ini.js";

export type Profile = ReadonlyMap<string, string>;

/** Every profile of both files; in the credentials file a value wins over the config file's. */
export async function readProfiles(context: AuthContext): Promise<ReadonlyMap<string, Profile>> {
  const { environment, home } = context;
  const credentials = environment.AWS_SHARED_CREDENTIALS_FILE || join(home, ".aws", "credentials");
  const config = environment.AWS_CONFIG_FILE || join(home, ".aws", "config");
  const profiles = new Map<string, Map<string, string>>();
  const merge = (name: string, values: Profile): void => {
    profiles.set(name, new Map([...(profiles.get(name) ?? []), ...values]));
  };
  for (const [section, values] of await sectionsOf(context, config)) {
    // In the config file every profile but the default one has the word in front of its name.
    if (section === "default") merge("default", values);
    else if (section.startsWith("profile ")) merge(section.slice("profile ".length), values);
  }
  for (const [section, values] of await sectionsOf(context, credentials)) merge(section, values);
  return profiles;
}

/** A file that is not there holds nothing. */
async function sectionsOf(context: AuthContext, path: string): Promise<Sections> {
  try {
    return parseIni(await context.readFile(path));
  } catch {
    return new Map();
  }
}
