/** What is changed in a request's body for one target: by the form of its wire, then as its provider key says. */
import type { RequestOverrides } from "../config/resources.js";
import { type BodyEdit, type EditPlan, planEdits } from "../dialects/body-edits.js";
import type { WireId } from "../dialects/dialect.js";
import type { JsonValue } from "../dialects/semantic.js";
import type { BodyShape } from "./provider.js";

/** Where wires have the temperature that is not at the top. */
const TEMPERATURE: Readonly<Partial<Record<WireId, string>>> = {
  gemini: "generationConfig.temperature",
  "bedrock-converse": "inferenceConfig.temperature",
};

/** The plan for requests on this wire; null = bodies go as they are. */
export function bodyPlan(wire: WireId, shape: BodyShape | undefined, overrides: RequestOverrides): EditPlan | null {
  const edits: BodyEdit[] = shape === undefined ? [] : shapeEdits(shape);
  for (const [from, to] of Object.entries(overrides.paramRenames)) edits.push({ kind: "rename", from, to });
  const { temperatureMin: least, temperatureMax: most } = overrides;
  if (least !== null || most !== null) {
    edits.push({ kind: "bound", path: TEMPERATURE[wire] ?? "temperature", least, most });
  }
  for (const [path, value] of Object.entries(overrides.defaultBodyFields)) {
    edits.push({ kind: "default", path, value: value as JsonValue });
  }
  for (const [path, value] of Object.entries(overrides.bodySet)) {
    edits.push({ kind: "set", path, value: value as JsonValue });
  }
  for (const path of overrides.bodyRemove) edits.push({ kind: "remove", path });
  return planEdits(edits);
}

function shapeEdits(shape: BodyShape): BodyEdit[] {
  return [
    ...Object.entries(shape.rename ?? {}).map(([from, to]): BodyEdit => ({ kind: "rename", from, to })),
    ...shape.remove.map((path): BodyEdit => ({ kind: "remove", path })),
    ...Object.entries(shape.set).map(([path, value]): BodyEdit => ({ kind: "set", path, value })),
    ...Object.entries(shape.fromHeaders).map(([path, header]): BodyEdit => ({ kind: "list", path, header })),
  ];
}
