/** What the secrets of well-known services look like, as sources of regular expressions of bounded length. */
export const KEY_SHAPES: readonly string[] = [
  "sk-[A-Za-z0-9_-]{20,200}",
  "(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{16,200}",
  "(?:AKIA|ASIA)[0-9A-Z]{16}",
  "gh[pousr]_[A-Za-z0-9]{36,255}",
  "github_pat_[A-Za-z0-9_]{22,255}",
  "glpat-[A-Za-z0-9_-]{20,64}",
  "xox[abeoprs]-[A-Za-z0-9-]{10,200}",
  "AIza[0-9A-Za-z_-]{35}",
  "ya29\\.[0-9A-Za-z_-]{20,300}",
  "hf_[A-Za-z0-9]{30,64}",
  "npm_[A-Za-z0-9]{36}",
  "gsk_[A-Za-z0-9]{40,64}",
  "xai-[A-Za-z0-9]{40,100}",
  "dop_v1_[a-f0-9]{64}",
  "shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}",
  "SG\\.[A-Za-z0-9_-]{16,32}\\.[A-Za-z0-9_-]{16,64}",
];
