/** The pages of docs/ that are made from the code. */
import { dialectsPage } from "./dialects-page.js";
import { providersPage } from "./providers-page.js";

export const PAGES: Readonly<Record<string, () => string>> = {
  "dialects.md": dialectsPage,
  "providers.md": providersPage,
};
