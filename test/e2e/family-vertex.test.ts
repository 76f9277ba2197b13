/** Gemini as Vertex AI serves it: other paths and credentials, and calls without ids. */
import { MODEL, VERTEX, VERTEX_PLACE, vendorClient } from "../fake-upstream/vendor-gemini.js";
import { describeFamily } from "./family.js";
import { vendorTalk } from "./family-gemini-client.js";

const { project, location: region } = VERTEX_PLACE;

describeFamily({
  target: "gemini",
  wire: VERTEX,
  upstreamModel: MODEL,
  providerKey: (url) => ({
    provider: "vertex",
    api_base: url,
    api_key: { access_token: "google-token", project, region },
  }),
  lostWithout: ["", "thought_signature", "thought_signature", "thought_signature"],
  chatPath: null,
  vendor: (url, streamed, wantsTools) => vendorTalk(vendorClient(url, true), streamed, wantsTools),
});
