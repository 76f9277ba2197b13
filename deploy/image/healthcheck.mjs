/**
 * The image's health check: 0 when the gateway is ready, 1 when it is not. Node asks by itself, because the image need
 * have neither a shell nor curl. HEALTH_URL names another address than the one that the image's weir.yaml opens.
 */
import { get } from "node:http";

const ANSWER_MS = 2_000;

const request = get(process.env.HEALTH_URL ?? "http://127.0.0.1:3001/readyz", { timeout: ANSWER_MS }, (response) => {
  process.exit(response.statusCode === 200 ? 0 : 1);
});
request.once("timeout", () => process.exit(1));
request.once("error", () => process.exit(1));
