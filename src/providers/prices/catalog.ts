/**
 * The bundled price catalog: what vendors publish as their list prices for standard processing, in US dollars.
 * A model that is not here has no known price. Only prices that a vendor's page states for a model's own name
 * stand here: no batch, priority or regional ones, and no names that a vendor moves to other models.
 */
import type { PriceList } from "../../config/prices.js";
import { ANTHROPIC_PRICES } from "./anthropic.js";
import { AMAZON_PRICES, GEMINI_PRICES } from "./clouds.js";
import { OPENAI_PRICES } from "./openai.js";
import { VENDOR_PRICES } from "./vendors.js";

export const BUNDLED_PRICES: PriceList = Object.freeze({
  version: 1,
  dated: "2026-11-01",
  rows: [...OPENAI_PRICES, ...ANTHROPIC_PRICES, ...GEMINI_PRICES, ...AMAZON_PRICES, ...VENDOR_PRICES],
});
