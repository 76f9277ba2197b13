/** The command line of the local fleet. */
import { parseArgs } from "node:util";
import { FleetError } from "./child.mjs";

export const USAGE = `usage: deploy/local-fleet.sh [--nodes N] [--port PORT] [--directory DIR] [--for SECONDS] [--no-build]

  --nodes N        nodes behind the balancer, 1 to 6 (3)
  --port PORT      callers' port; the others' follow it: PORT+1 the balancer's figures, PORT+10… the nodes, PORT+20…
                   their ops, PORT+30… NATS, PORT+40… its figures, PORT+50… its cluster. 0 = free ones (8400)
  --directory DIR  where data, logs and fleet.json go, and stay; without it, a folder that is removed at the end
  --for SECONDS    ends by itself; without it, Ctrl-C or SIGTERM does
  --no-build       serves what dist/ holds
`;

const MOST_NODES = 6;

/** @returns {{ nodes: number, port: number, directory: string | null, seconds: number | null, build: boolean } | null} null: help was asked for. */
export function readOptions(argv) {
  const values = parse(argv);
  if (values.help) return null;
  return {
    nodes: whole("--nodes", values.nodes, 1, MOST_NODES),
    port: whole("--port", values.port, 0, 65_000),
    directory: values.directory ?? null,
    seconds: values.for === undefined ? null : whole("--for", values.for, 1, 7 * 86_400),
    build: !values["no-build"],
  };
}

function parse(argv) {
  try {
    const options = {
      nodes: { type: "string", default: "3" },
      port: { type: "string", default: "8400" },
      directory: { type: "string" },
      for: { type: "string" },
      "no-build": { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    };
    return parseArgs({ args: argv, options }).values;
  } catch (error) {
    throw new FleetError(`${error.message}\n${USAGE}`);
  }
}

function whole(name, text, least, most) {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value <= most) return value;
  throw new FleetError(`${name} must be a whole number from ${least} to ${most}\n${USAGE}`);
}
