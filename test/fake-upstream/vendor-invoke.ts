/** Models whose bodies are their own: those that Bedrock invokes, and the image models of two clouds. */
import { type Body, only, ranked, Refused, type Reply, sum, texts, tokensOf, vectorOf } from "./list-answers.js";

const INVOKED: readonly (readonly [RegExp, (body: Body) => Reply])[] = [
  [
    /cohere\.embed/,
    (body) => {
      only(body, "texts", "input_type", "truncate", "output_dimension", "max_tokens", "embedding_types");
      const list = texts(body.texts, 96);
      const embeddings = list.map((text) => vectorOf(text, body.output_dimension));
      const headers = { "x-amzn-bedrock-input-token-count": String(sum(list)) };
      return {
        body: { id: "e", response_type: "embeddings_floats", embeddings, texts: list },
        headers,
        inputs: list.length,
      };
    },
  ],
  [
    /titan-embed-text-v2/,
    (body) => {
      only(body, "inputText", "dimensions", "normalize", "embeddingTypes");
      const embedding = vectorOf(body.inputText, body.dimensions);
      return { body: { embedding, inputTextTokenCount: tokensOf(body.inputText) }, inputs: 1 };
    },
  ],
  [
    /titan-embed-text-v1|titan-embed-g1/,
    (body) => {
      only(body, "inputText");
      return {
        body: { embedding: vectorOf(body.inputText), inputTextTokenCount: tokensOf(body.inputText) },
        inputs: 1,
      };
    },
  ],
  [
    /nova-2-multimodal-embeddings/,
    (body) => {
      only(body, "taskType", "singleEmbeddingParams");
      const { embeddingDimension, text } = body.singleEmbeddingParams;
      const embedding = vectorOf(text.value, embeddingDimension);
      const headers = { "x-amzn-bedrock-input-token-count": String(tokensOf(text.value)) };
      return { body: { embeddings: [{ embeddingType: "TEXT", embedding }] }, headers, inputs: 1 };
    },
  ],
  [
    /rerank/,
    (body) => {
      only(body, "query", "documents", "top_n", ...(body.api_version === undefined ? [] : ["api_version"]));
      const list = texts(body.documents, 1000);
      const results = ranked(body.query, list, body.top_n).map(({ index, score }) => ({
        index,
        relevance_score: score,
      }));
      return { body: { results }, inputs: list.length };
    },
  ],
  [
    /nova-canvas|titan-image/,
    (body) => {
      only(body, "taskType", "textToImageParams", "imageGenerationConfig");
      const { numberOfImages } = body.imageGenerationConfig;
      const images = Array.from({ length: numberOfImages }, (_, at) => picture(`${body.textToImageParams.text} ${at}`));
      return { body: { images }, inputs: 1 };
    },
  ],
  [
    /stability\./,
    (body) => {
      only(body, "prompt", "mode", "aspect_ratio", "output_format", "seed");
      if (body.prompt.includes("forbidden"))
        return { body: { images: [], finish_reasons: ["Filter reason: prompt"] }, inputs: 1 };
      return { body: { images: [picture(body.prompt)], seeds: [1], finish_reasons: [null] }, inputs: 1 };
    },
  ],
];

/** Stands for an image, in base64. */
export function picture(prompt: string): string {
  return Buffer.from(`png of ${prompt}`).toString("base64");
}

export function invoked(body: Body, path: string): Reply {
  const model = decodeURIComponent(path.split("/")[2] ?? "");
  const found = INVOKED.find(([pattern]) => pattern.test(model));
  if (found === undefined) throw new Refused(`there is no model ${model}`);
  return found[1](body);
}

export function geminiImage(body: Body): Reply {
  only(body, "contents", "generationConfig");
  if (!body.generationConfig.responseModalities.includes("IMAGE")) throw new Refused("no image is wanted");
  const { text } = body.contents[0].parts[0];
  const usageMetadata = { promptTokenCount: tokensOf(text), candidatesTokenCount: 1290, totalTokenCount: 0 };
  if (text.includes("forbidden"))
    return { body: { promptFeedback: { blockReason: "SAFETY" }, usageMetadata }, inputs: 1 };
  const parts = [{ text: "Here it is." }, { inlineData: { mimeType: "image/png", data: picture(text) } }];
  const candidates = [{ content: { role: "model", parts }, finishReason: "STOP", index: 0 }];
  return { body: { candidates, usageMetadata }, inputs: 1 };
}

export function imagen(body: Body): Reply {
  only(body, "instances", "parameters");
  only(body.parameters, "sampleCount", "aspectRatio", "sampleImageSize", "outputOptions");
  const predictions = Array.from({ length: body.parameters.sampleCount }, (_, at) => {
    return { mimeType: "image/png", bytesBase64Encoded: picture(`${body.instances[0].prompt} ${at}`) };
  });
  return { body: { predictions }, inputs: 1 };
}
