import type { AccessFields } from "../../../src/observability/logger.js";

/** What one ordinary request says in the access log; `change` replaces fields. */
export function sampleAccess(change: Partial<AccessFields> = {}): AccessFields {
  return {
    time: Date.UTC(2026, 0, 31, 12, 0, 0, 7),
    request_id: "req_1",
    method: "POST",
    path: "/v1/chat/completions",
    status: 200,
    duration_ms: 12.3456,
    ttft_ms: 3.2,
    key: "team-a",
    model: "small",
    upstream_model: "acme-small",
    provider: "acme",
    operation: "chat",
    input_tokens: 10,
    output_tokens: 5,
    estimated: false,
    client_address: "192.0.2.7",
    user_agent: "client/1.0",
    error: "",
    bytes_in: 512,
    bytes_out: 1024,
    attempts: 1,
    cache: "miss",
    ...change,
  };
}
