/** Where one attempt goes: address, path, headers and body of an upstream's request, ready to be sent. */
import type { DirectModel, ProviderKeyResource } from "../config/resources.js";
import { type EditPlan, editBody } from "../dialects/body-edits.js";
import type { Bridge } from "../dialects/bridge.js";
import type { DialectId, Operation, WireId } from "../dialects/dialect.js";
import { type Failure, isFailure } from "../errors.js";
import { type Address, NEEDS_REGION, readAddress } from "./address.js";
import { type AnswerFilter, type AnswerRules, answerFilter, type FilteredHead } from "./answer-filter.js";
import type { Credentials } from "./auth/auth.js";
import { FixedHeaders } from "./auth/bearer.js";
import { validateCredential } from "./auth/credentials.js";
import { bodyPlan } from "./body-plan.js";
import { rowOfKey } from "./catalog.js";
import { type Counter, counterRequest } from "./counter.js";
import type { RequestVariables } from "./header-template.js";
import type { AuthScheme, ProviderRow, ServedOperation } from "./provider.js";
import { authFamilyOf, givenCredential, placeOf, sharedCredentials } from "./shared-credentials.js";
import { isHeaderValue } from "./http1/header-syntax.js";
import { carriesAuth, headerProblem, TargetHeaders } from "./target-headers.js";
import { wayTo } from "./way.js";

/** The part of a resolved model that a target is made from. */
export interface TargetModel {
  readonly providerKey: ProviderKeyResource;
  readonly entry: Pick<DirectModel, "provider">;
}

interface TargetParts {
  readonly bridge: Bridge;
  readonly row: ProviderRow;
  readonly served: ServedOperation;
  readonly key: ProviderKeyResource;
  readonly address: Address;
}

/** A request whose headers lack nothing but what its credentials add. */
export interface UnsignedRequest {
  /** In capitals; "POST" where it is not said. */
  readonly method?: string;
  /** Path and query. */
  readonly path: string;
  readonly headers: readonly string[];
  readonly body: Uint8Array;
}

/** Never printed whole: what holds the secret is private, so that neither `inspect` nor JSON shows it. */
export class Target {
  /** Scheme, host and port ("https://api.example.com"); "" for the built-in simulator. */
  readonly origin: string;
  readonly dialect: WireId;
  /** How the caller's dialect reaches this wire. */
  readonly bridge: Bridge;
  /** Id of the provider. */
  readonly provider: string;
  /** Id of the catalog's row whose ways this provider has. */
  readonly likeness: string;
  /** Name of the provider key. */
  readonly providerKey: string;
  /** Answered inside the gateway; there is no address to call. */
  readonly simulated: boolean;
  readonly tls: ProviderKeyResource["tls"];
  /** Answers with a count in a form of its own, and how; null = answers in its dialect. */
  readonly counter: Counter | null;
  /** The credentials cover the body: it must be there in one piece. */
  readonly signsBody: boolean;
  /** Takes only the newest form of its dialect. */
  readonly newestFormOnly: boolean;
  readonly #path: string;
  readonly #streamPath: string;
  readonly #modelPaths: readonly (readonly [RegExp, string])[];
  readonly #inputsPerCall: ServedOperation["inputsPerCall"];
  readonly #headers: TargetHeaders;
  readonly #credentials: Credentials | null;
  readonly #plan: EditPlan | null;
  readonly #rules: AnswerRules;
  readonly #keptFromBody: readonly string[];

  constructor(parts: TargetParts) {
    const { row, served, key, address } = parts;
    this.bridge = parts.bridge;
    this.simulated = row.family === "simulator";
    this.origin = this.simulated ? "" : address.origin;
    const root = served.from === "host" ? address.host : address.version;
    this.#path = root + placed(served.path, row, key) + queryOf(row, key);
    this.#streamPath = root + placed(served.streamPath ?? served.path, row, key) + queryOf(row, key);
    this.#modelPaths = (served.modelPaths ?? []).map(([models, path]) => [
      models,
      root + placed(path, row, key) + queryOf(row, key),
    ]);
    this.#inputsPerCall = served.inputsPerCall;
    this.newestFormOnly = served.newestFormOnly === true;
    this.dialect = served.dialect;
    this.provider = row.id;
    this.likeness = row.madeFrom ?? row.id;
    this.providerKey = key.name;
    this.tls = key.tls;
    const { counter = null } = served;
    this.counter = parts.bridge.kind === "hub" || counter?.envelope !== undefined ? counter : null;
    const auth = served.auth ?? row.auth;
    const credentials = credentialsOf(row, key, auth);
    const fixed = credentials instanceof FixedHeaders ? credentials.headers() : [];
    this.#credentials = credentials instanceof FixedHeaders ? null : credentials;
    this.#headers = new TargetHeaders({ row, key, auth, credential: fixed });
    this.#plan = bodyPlan(served.dialect, served.shape, key.request);
    this.signsBody = row.family === "bedrock" && this.#credentials !== null;
    this.#keptFromBody = key.stripHeaders.map((name) => name.toLowerCase());
    this.#rules = { dialect: served.dialect, errors: served.errors ?? null, overrides: key.response };
  }

  /** Path and query for a request to this model. */
  path(model: string, stream: boolean): string {
    const path = this.#pathOf(model, stream);
    // A function, because in a replacement text `$&` would mean something.
    if (!path.includes("{model}")) return path;
    // Some vendors list their models as "models/NAME", which is how their paths go on anyway.
    const listed = path.includes("/models/{model}") && model.startsWith("models/") ? model.slice(7) : model;
    const name = this.counter?.notInName === undefined ? listed : listed.replace(this.counter.notInName, "");
    return path.replace("{model}", () => escapedModel(name));
  }

  #pathOf(model: string, stream: boolean): string {
    for (const [models, path] of this.#modelPaths) if (models.test(model)) return path;
    return stream ? this.#streamPath : this.#path;
  }

  /** The most inputs of a list that one call for this model takes; Infinity = nobody names a bound. */
  inputsPerCall(model: string): number {
    const most = this.#inputsPerCall;
    return most === undefined ? Number.POSITIVE_INFINITY : typeof most === "number" ? most : most(model);
  }

  /** Flat list of names and values: the secret, `accept-encoding`, and the defaults of row and key. */
  get headers(): readonly string[] {
    return this.#headers.all;
  }

  /** Do headers hold variables of the request, so that `headersWith` wants them? */
  get templated(): boolean {
    return this.#headers.templated;
  }

  /** Lower-case names of caller's headers that do not reach this upstream. */
  get stripHeaders(): readonly string[] {
    return this.#headers.stripped;
  }

  /** The caller's headers that go on to this upstream: `passed`, and those of `others` that its key lets through. */
  forwarded(passed: readonly string[], others: readonly string[]): readonly string[] {
    return this.#headers.forwarded(passed, others);
  }

  /**
   * The headers of one request: the target's own and the caller's forwarded ones (flat, names in lower
   * case). A caller's header replaces a default of its name, never the secret; stripped names are left out.
   */
  headersWith(forwarded: readonly string[], variables: RequestVariables | null = null): readonly string[] {
    return this.#headers.with(forwarded, variables);
  }

  /** Does `bodyFor` give back what it is given? */
  get changesNothing(): boolean {
    return this.#plan === null && this.counter === null;
  }

  /**
   * The body as this upstream and its key want it, made by changes to its bytes; `body` itself where nothing is to
   * be changed. A Failure names the member that cannot be changed because it stands there twice. `model`: the
   * upstream's name of it, for counters that want it in the body.
   */
  bodyFor(body: Buffer, forwarded: readonly string[], model: string): Buffer | Failure {
    const plan = this.#plan;
    const edited = plan === null ? body : editBody(body, plan, withoutNames(forwarded, this.#keptFromBody));
    return this.counter === null || isFailure(edited) ? edited : counterRequest(this.counter, edited, model);
  }

  /**
   * The headers of a request that is otherwise ready, credentials included: at once where that is possible.
   * Rejects with AuthError when there are no credentials to be had.
   */
  authenticated(request: UnsignedRequest): readonly string[] | Promise<readonly string[]> {
    const { method = "POST", path, headers, body } = request;
    if (this.#credentials === null) return headers;
    try {
      const added = this.#credentials.headers({ method, url: this.origin + path, headers, body });
      if (added instanceof Promise) return added.then((list) => [...headers, ...list]);
      return [...headers, ...added];
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** What must be done to an answer before it is read; null = nothing. */
  answerFilter(head: FilteredHead): AnswerFilter | null {
    return answerFilter(this.#rules, head);
  }
}

/** Names may be resources with slashes and colons; an at sign is plain text in a path and some hosts want it so. */
function escapedModel(model: string): string {
  return encodeURIComponent(model).replaceAll("%40", "@");
}

function withoutNames(flat: readonly string[], names: readonly string[]): readonly string[] {
  if (names.length === 0) return flat;
  return flat.filter((_, index) => !names.includes(flat[index - (index % 2)] as string));
}

/** One map a provider key object: a reload brings new objects, and the old targets go with the old ones. */
const targets = new WeakMap<ProviderKeyResource, Map<Operation, Map<DialectId, Target | null>>>();

/**
 * The target of a model for an operation in the caller's dialect. null: the provider is unknown, does not
 * serve the operation in that dialect, or its key cannot be used (`providerKeyProblem` says why).
 */
export function targetFor(model: TargetModel, operation: Operation, clientDialect: DialectId): Target | null {
  const key = model.providerKey;
  let operations = targets.get(key);
  if (operations === undefined) {
    operations = new Map();
    targets.set(key, operations);
  }
  let dialects = operations.get(operation);
  if (dialects === undefined) {
    dialects = new Map();
    operations.set(operation, dialects);
  }
  let target = dialects.get(clientDialect);
  if (target === undefined) {
    target = makeTarget(key, operation, clientDialect);
    dialects.set(clientDialect, target);
  }
  return target;
}

function makeTarget(key: ProviderKeyResource, operation: Operation, dialect: DialectId): Target | null {
  const row = rowOfKey(key);
  const way = row === undefined ? null : wayTo(row, operation, dialect);
  if (row === undefined || way === null || providerKeyProblem(key) !== null) return null;
  const address = row.family === "simulator" ? NOWHERE : readAddress(row, key.apiBase, placeOf(row, key).region);
  if (typeof address === "string") return null;
  return new Target({ row, key, address, ...way });
}

/** Why no request can be sent with this provider key, in words for the operator; null when all is well. */
export function providerKeyProblem(key: ProviderKeyResource): string | null {
  const row = rowOfKey(key);
  if (row === undefined) return `provider "${key.provider}" is not known and no usable adapter is given`;
  const general = headerProblem(key) ?? responseProblem(row, key);
  if (general !== null || row.family === "simulator") return general;
  const secret = secretProblem(row, key);
  if (secret !== null) return secret;
  const place = placeOf(row, key);
  const address = readAddress(row, key.apiBase, place.region);
  if (typeof address === "string") return address;
  return placeProblem(row, key, place);
}

function secretProblem(row: ProviderRow, key: ProviderKeyResource): string | null {
  const family = authFamilyOf(row);
  const given = givenCredential(key);
  if (given === null) {
    const needed = row.keyOptional !== true && row.auth !== "none" && !carriesAuth(key);
    return needed ? "the provider needs an api_key" : null;
  }
  if (family !== null) {
    const problem = validateCredential(family, given);
    return problem === null ? null : `api_key: ${problem}`;
  }
  if (key.credential !== null) return "api_key: must be text; the provider takes no credentials of several parts";
  return isHeaderValue(key.apiKey) ? null : "the secret holds a character that a header cannot carry";
}

/** Paths with a place in them need it, and so do signatures. */
function placeProblem(
  row: ProviderRow,
  key: ProviderKeyResource,
  place: { readonly region: string; readonly project: string },
): string | null {
  const paths = Object.values(row.serves).flatMap((served) => served.map(({ path }) => path));
  const signed = row.family === "bedrock" && typeof givenCredential(key) !== "string" && !carriesAuth(key);
  if (place.region === "" && (signed || paths.some((path) => path.includes("{region}")))) return NEEDS_REGION;
  if (place.project === "" && paths.some((path) => path.includes("{project}"))) {
    return "the provider needs a project (of its credentials or the environment)";
  }
  return null;
}

/** What is said of answers concerns chat answers only; elsewhere it would be ignored, and nothing is ignored. */
function responseProblem(row: ProviderRow, key: ProviderKeyResource): string | null {
  if (key.response === null || row.serves.chat?.some(({ dialect }) => dialect === "openai-chat")) return null;
  return "response: the provider has no OpenAI-shaped chat answers that this could change";
}

const NOWHERE: Address = { origin: "", host: "", version: "" };

/** The credentials that requests need beyond a plain secret; null = none. */
function credentialsOf(row: ProviderRow, key: ProviderKeyResource, auth: AuthScheme): Credentials | null {
  const family = authFamilyOf(row);
  if (family === null || carriesAuth(key)) return null;
  if (auth !== "credentials" && key.credential === null) return null;
  return sharedCredentials(row, family, key);
}

function placed(path: string, row: ProviderRow, key: ProviderKeyResource): string {
  if (!path.includes("{region}") && !path.includes("{project}")) return path;
  const { region, project } = placeOf(row, key);
  return path
    .replace("{region}", () => encodeURIComponent(region))
    .replace("{project}", () => encodeURIComponent(project).replaceAll("%3A", ":"));
}

function queryOf(row: ProviderRow, key: ProviderKeyResource): string {
  if (row.family !== "azure-openai" || key.apiVersion === null) return "";
  return `?api-version=${encodeURIComponent(key.apiVersion)}`;
}
