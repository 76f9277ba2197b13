/** The composed fleet fits the image, the balancer's and NATS' configuration, and what the example of secrets names. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parseCidrs } from "../../../src/config/cidr.js";
import { configOf, drainSeconds, pathOf, problemsOf, type Tree, textOf, yamlOf } from "./files.js";

const compose = yamlOf("compose/compose.yaml");
const services: Record<string, Tree> = compose.services;
const config = configOf("compose/weir.yaml");
const nodes = Object.keys(services).filter((name) => name.startsWith("weir-"));
const natsServers = Object.keys(services).filter((name) => name.startsWith("nats-"));

/** Names of variables that a NATS configuration reads. */
function readByNats(): string[] {
  const texts = ["nats/nats.conf", "nats/accounts.conf"].map((name) => textOf(name).replace(/#.*$/gm, ""));
  return [...new Set(texts.join("\n").match(/\$NATS_[A-Z_]+/g))].map((name) => name.slice(1)).sort();
}

describe("compose.yaml", () => {
  it("has three nodes, three NATS servers, a balancer and somewhere to look", () => {
    expect(Object.keys(services)).toEqual([
      "weir-1",
      "weir-2",
      "weir-3",
      "nats-1",
      "nats-2",
      "nats-3",
      "balancer",
      "prometheus",
      "grafana",
    ]);
  });

  it("asks for no secret that the example does not name", () => {
    const example = [...textOf("compose/.env.example").matchAll(/^([A-Z_]+)=$/gm)].map((match) => match[1]);
    const asked = [...textOf("compose/compose.yaml").matchAll(/\$\{([A-Z_]+)/g)].map((match) => match[1]);
    expect([...new Set(asked)].sort()).toEqual(example.sort());
  });

  it("has files and folders for everything that is mounted", () => {
    for (const { volumes = [] } of Object.values(services)) {
      for (const volume of volumes as string[]) {
        const [source = ""] = volume.split(":");
        if (source.startsWith(".")) expect(existsSync(join(pathOf("compose"), source)), source).toBe(true);
        else expect(Object.keys(compose.volumes)).toContain(source);
      }
    }
  });

  it("gives each node a volume of its own at data_dir, and the time that its drain may take", () => {
    const volumes = nodes.map((name) => services[name].volumes.find((one: string) => one.endsWith(config.data_dir)));
    expect(new Set(volumes).size).toBe(nodes.length);
    for (const name of [...nodes, "balancer"]) {
      expect(Number.parseInt(services[name].stop_grace_period, 10)).toBeGreaterThan(drainSeconds(config) + 10);
    }
    for (const name of nodes) expect(services[name]).toMatchObject({ read_only: true, cap_drop: ["ALL"] });
  });

  it("publishes the callers' port alone to other machines", () => {
    const published = Object.values(services).flatMap(({ ports = [] }) => ports as string[]);
    expect(published.filter((port) => !port.startsWith("127.0.0.1:"))).toEqual(["8080:8080"]);
  });

  it("has nodes that believe the balancer, and nobody else", () => {
    const trusted = parseCidrs(config.trusted_proxies);
    expect(trusted.contains(services.balancer.networks.fleet.ipv4_address)).toBe(true);
    expect(config.trusted_proxies).toEqual([`${services.balancer.networks.fleet.ipv4_address}/32`]);
  });

  it("tells the balancer where every node is", () => {
    const { environment } = services.balancer;
    const told = Object.entries(environment).filter(([name]) => name.startsWith("WEIR_NODE_"));
    expect(told.map(([, address]) => address)).toEqual(nodes.map((name) => `${name}:${config.listen.port}`));
    for (const name of Object.keys(environment)) expect(textOf("haproxy/haproxy.cfg")).toContain(name);
  });

  it("gives each NATS server all that its configuration reads, and each a name", () => {
    for (const name of natsServers) {
      expect(Object.keys(services[name].environment).sort()).toEqual(readByNats());
      expect(services[name].environment.NATS_NAME).toBe(name);
    }
    const hosts = config.cluster.nats?.servers.map((server) => new URL(server).hostname);
    expect(hosts).toEqual(natsServers);
    expect(config.cluster.replicas).toBe(natsServers.length);
  });

  it("lets Prometheus ask every node's ops listener", () => {
    const [job] = yamlOf("prometheus/prometheus.yml").scrape_configs;
    expect(job.static_configs[0].targets).toEqual(nodes.map((name) => `${name}:${config.ops.listen.port}`));
  });

  it("has resources that the gateway takes", async () => {
    expect(await problemsOf("compose/resources.yaml", { CALLER_KEY: "sk-any" })).toBe("");
  });
});
