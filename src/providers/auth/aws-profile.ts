/** The shared files of AWS (~/.aws/credentials, ~/.aws/config): profiles and SSO sessions by name. */
import { join } from "node:path";
import type { AuthContext } from "./auth.js";
import { parseIni, type Sections } from "./ini.js";

export type Profile = ReadonlyMap<string, string>;

const SESSION = "sso-session ";

export interface SharedFiles {
  readonly profiles: ReadonlyMap<string, Profile>;
  readonly ssoSessions: ReadonlyMap<string, Profile>;
}

/** What is in both files; of a profile's values those of the credentials file win over those of the config file. */
export async function readSharedFiles(context: AuthContext): Promise<SharedFiles> {
  const { environment, home } = context;
  const credentials = environment.AWS_SHARED_CREDENTIALS_FILE || join(home, ".aws", "credentials");
  const config = environment.AWS_CONFIG_FILE || join(home, ".aws", "config");
  const profiles = new Map<string, Map<string, string>>();
  const ssoSessions = new Map<string, Profile>();
  const merge = (name: string, values: Profile): void => {
    profiles.set(name, new Map([...(profiles.get(name) ?? []), ...values]));
  };
  for (const [section, values] of await sectionsOf(context, config)) {
    // In the config file every profile but the default one has the word in front of its name.
    if (section === "default") merge("default", values);
    else if (section.startsWith("profile ")) merge(unquoted(section.slice("profile ".length)), values);
    else if (section.startsWith(SESSION)) ssoSessions.set(unquoted(section.slice(SESSION.length)), values);
  }
  for (const [section, values] of await sectionsOf(context, credentials)) merge(section, values);
  return { profiles, ssoSessions };
}

/** A name with spaces in it may stand in quotes. */
function unquoted(name: string): string {
  return /^(["']).*\1$/.test(name) ? name.slice(1, -1) : name;
}

/** A file that is not there holds nothing. */
async function sectionsOf(context: AuthContext, path: string): Promise<Sections> {
  try {
    return parseIni(await context.readFile(path));
  } catch {
    return new Map();
  }
}
