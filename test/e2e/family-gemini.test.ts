/** Gemini as AI Studio serves it, behind every client whose dialect the service does not speak itself. */
import { GEMINI, MODEL, vendorClient } from "../fake-upstream/vendor-gemini.js";
import { describeFamily } from "./family.js";
import { vendorTalk } from "./family-gemini-client.js";

describeFamily({
  target: "gemini",
  wire: GEMINI,
  upstreamModel: MODEL,
  providerKey: (url) => ({ provider: "gemini", api_base: url, api_key: "gemini-key" }),
  lostWithout: ["", "thought_signature", "thought_signature", "thought_signature"],
  chatPath: "/v1beta/openai/chat/completions",
  vendor: (url, streamed, wantsTools) => vendorTalk(vendorClient(url, false), streamed, wantsTools),
});
