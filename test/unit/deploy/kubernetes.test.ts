/** The manifests fit the gateway: its ports, its pages, its drain, its journal. */
import { readdirSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { configOf, documentsOf, drainSeconds, pathOf, problemsOf, type Tree, textOf, yamlOf } from "./files.js";

const kustomization = yamlOf("kubernetes/kustomization.yaml");
const objects = new Map<string, Tree>();
for (const file of kustomization.resources as string[]) {
  for (const object of documentsOf(`kubernetes/${file}`)) objects.set(`${object.kind}/${object.metadata.name}`, object);
}
const set = objects.get("StatefulSet/weir");
const pod = set.spec.template.spec;
const [container] = pod.containers;
const config = configOf("kubernetes/weir.yaml");
const operations = textOf("../docs/operations.md");

function portOf(name: string): number {
  return container.ports.find((port: Tree) => port.name === name)?.containerPort;
}

describe("the kustomization", () => {
  it("holds every manifest but the examples", () => {
    const files = readdirSync(pathOf("kubernetes")).filter((name) => name.endsWith(".yaml"));
    const rest = ["kustomization.yaml", "secrets.example.yaml", ...kustomization.configMapGenerator[0].files];
    expect([...kustomization.resources, ...rest].sort()).toEqual(files.sort());
  });

  it("has one of each kind under one name", () => {
    expect([...objects.keys()].sort()).toEqual([
      "HorizontalPodAutoscaler/weir",
      "Namespace/weir",
      "NetworkPolicy/weir",
      "PodDisruptionBudget/weir",
      "Service/weir",
      "Service/weir-nodes",
      "ServiceAccount/weir",
      "StatefulSet/weir",
    ]);
    expect(kustomization.namespace).toBe("weir");
  });

  it("has a configuration and resources that the gateway takes", async () => {
    expect(config.cluster.nats?.user).toBe("node");
    expect(await problemsOf("kubernetes/resources.yaml", { OPENAI_API_KEY: "key" })).toBe("");
  });
});

describe("the pods", () => {
  it("have the ports that the configuration opens, which are the usual ones", () => {
    expect([portOf("proxy"), portOf("ops")]).toEqual([config.listen.port, config.ops.listen.port]);
    expect([config.listen.port, config.ops.listen.port]).toEqual([3000, 3001]);
  });

  it.each(["startupProbe", "readinessProbe", "livenessProbe"])("have a %s at a page that is documented", (name) => {
    const { path, port } = container[name].httpGet;
    const row = new RegExp(`^\\| ${path} \\| ([a-z, ]+) \\|`, "m").exec(operations);
    expect(row?.[1]?.split(", ")).toContain(port);
    expect(container[name].timeoutSeconds ?? 1).toBeLessThanOrEqual(container[name].periodSeconds);
  });

  it("are not killed for what only makes them unready", () => {
    expect(container.livenessProbe.httpGet.path).toBe("/livez");
    expect(container.readinessProbe.httpGet.path).toBe("/readyz");
  });

  it("have the time that their drain may take, and are seen to be unready before it begins", () => {
    const sleep: number = container.lifecycle.preStop.sleep.seconds;
    expect(pod.terminationGracePeriodSeconds).toBeGreaterThanOrEqual(sleep + drainSeconds(config) + 10);
    const { periodSeconds, failureThreshold } = container.readinessProbe;
    expect(config.drain.notice_ms / 1000).toBeGreaterThanOrEqual(periodSeconds * failureThreshold);
  });

  it("write nowhere but in data_dir, on a volume of their own that holds the journal at its largest", () => {
    const [claim] = set.spec.volumeClaimTemplates;
    const mounts = new Map(container.volumeMounts.map((mount: Tree) => [mount.name, mount]));
    expect((mounts.get(claim.metadata.name) as Tree).mountPath).toBe(config.data_dir);
    for (const [name, mount] of mounts) if (name !== claim.metadata.name) expect((mount as Tree).readOnly).toBe(true);
    const bytes = Number.parseInt(claim.spec.resources.requests.storage, 10) * 1024 ** 3;
    expect(bytes).toBeGreaterThan(2 * config.usage.journal.max_bytes);
    expect(set.spec.persistentVolumeClaimRetentionPolicy).toEqual({ whenDeleted: "Retain", whenScaled: "Retain" });
  });

  it("pass the strictest of the pod security standards, and cannot ask the cluster anything", () => {
    const mode = objects.get("Namespace/weir").metadata.labels["pod-security.kubernetes.io/enforce"];
    expect(mode).toBe("restricted");
    expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } });
    expect(container.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    });
    for (const place of [objects.get("ServiceAccount/weir"), pod]) {
      expect(place.automountServiceAccountToken).toBe(false);
    }
  });

  it("run as the image's user", () => {
    const user = Number(/^USER (\d+):\d+$/m.exec(textOf("Dockerfile"))?.[1]);
    expect(pod.securityContext).toMatchObject({ runAsUser: user, fsGroup: user });
  });

  it("find every secret among the examples", () => {
    const examples = new Map(documentsOf("kubernetes/secrets.example.yaml").map((one) => [one.metadata.name, one]));
    for (const { valueFrom } of container.env) {
      const { name, key } = valueFrom.secretKeyRef;
      expect(Object.keys(examples.get(name).stringData)).toContain(key);
    }
    for (const { secretRef } of container.envFrom) expect([...examples.keys()]).toContain(secretRef.name);
  });
});

describe("what stands around them", () => {
  const labels = set.spec.template.metadata.labels;

  it("means these pods", () => {
    const selectors = [
      set.spec.selector.matchLabels,
      objects.get("Service/weir").spec.selector,
      objects.get("Service/weir-nodes").spec.selector,
      objects.get("PodDisruptionBudget/weir").spec.selector.matchLabels,
      objects.get("NetworkPolicy/weir").spec.podSelector.matchLabels,
      ...pod.topologySpreadConstraints.map((one: Tree) => one.labelSelector.matchLabels),
    ];
    for (const selector of selectors) expect(selector).toEqual(labels);
    expect(objects.get("HorizontalPodAutoscaler/weir").spec.scaleTargetRef).toMatchObject({
      kind: "StatefulSet",
      name: "weir",
    });
    expect(set.spec.serviceName).toBe("weir-nodes");
  });

  it("reaches ports that the pods have", () => {
    for (const name of ["Service/weir", "Service/weir-nodes"]) {
      for (const { targetPort } of objects.get(name).spec.ports) expect(portOf(targetPort)).toBeGreaterThan(0);
    }
    const { ingress, egress } = objects.get("NetworkPolicy/weir").spec;
    const opened = ingress.flatMap((rule: Tree) => rule.ports.map(({ port }: Tree) => port));
    expect(opened.sort()).toEqual(["ops", "proxy"]);
    const reached = egress.flatMap((rule: Tree) => rule.ports.map(({ port }: Tree) => port));
    for (const server of config.cluster.nats?.servers ?? []) expect(reached).toContain(Number(new URL(server).port));
  });

  it("leaves the number of replicas to the autoscaler", () => {
    expect(set.spec.replicas).toBeUndefined();
    const { minReplicas, maxReplicas } = objects.get("HorizontalPodAutoscaler/weir").spec;
    expect(minReplicas).toBeGreaterThanOrEqual(3);
    expect(maxReplicas).toBeGreaterThan(minReplicas);
    expect(objects.get("PodDisruptionBudget/weir").spec.maxUnavailable).toBe(1);
  });
});
