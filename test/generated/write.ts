/** Writes the generated pages. */
import { writeFileSync } from "node:fs";
import { PAGES } from "./pages.js";

for (const [name, render] of Object.entries(PAGES)) {
  writeFileSync(new URL(`../../docs/${name}`, import.meta.url), render());
}
