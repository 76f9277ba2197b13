/** Provider keys as a resource file would give them. */
import { NO_REQUEST_OVERRIDES, type ProviderKeyResource } from "../../../src/config/resources.js";

export const SECRET = "sk-very-secret";

export function providerKey(provider: string, differs: Partial<ProviderKeyResource> = {}): ProviderKeyResource {
  return {
    name: `${provider}-key`,
    provider,
    adapter: null,
    apiBase: null,
    apiKey: SECRET,
    credential: null,
    region: null,
    apiVersion: null,
    tls: null,
    stripHeaders: [],
    defaultHeaders: {},
    request: NO_REQUEST_OVERRIDES,
    response: null,
    telemetryTags: {},
    ...differs,
  };
}
