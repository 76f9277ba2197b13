/** The embedded default as entries of a resource file: what the admin API shows, and a beginning for a file. */
import type { RawEntry } from "../config/resource-set.js";
import type { DirectModel, Resources } from "../config/resources.js";

export function defaultEntries({ providerKeys, models, apiKeys }: Resources): RawEntry[] {
  const direct = models.filter((model): model is DirectModel => model.kind === "direct");
  return [
    ...providerKeys.map(({ name, provider, apiBase, apiKey }) =>
      entry("provider_keys", name, {
        provider,
        ...(apiBase === null ? {} : { api_base: apiBase }),
        ...(apiKey === "" ? {} : { api_key: apiKey }),
      }),
    ),
    ...direct.map(({ name, provider, modelName, providerKey }) =>
      entry("models", name, { provider, model_name: modelName, provider_key: providerKey }),
    ),
    ...apiKeys.map(({ name, keyHash, allowedModels }) =>
      entry("api_keys", name, { key_hash: keyHash, allowed_models: allowedModels }),
    ),
  ];
}

function entry(collection: string, name: string, value: Readonly<Record<string, unknown>>): RawEntry {
  return { collection, name, value: { display_name: name, ...value } };
}
