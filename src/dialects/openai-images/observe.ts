/** The use of images: how many came, of which size and quality. */
import { ArrayCount } from "../array-count.js";
import type { AnswerObserver, RequestView } from "../dialect.js";
import { textField } from "../form-request.js";
import { scanTopLevel } from "../json-scan.js";
import { decodeString } from "../json-text.js";
import { MediaAnswerObserver } from "../media-usage.js";
import type { UsageTally } from "../usage-tally.js";
import { UNIT_KEYS } from "./wire.js";

/** Watches one whole answer: counts its images beside its usage. */
export class ImagesObserver implements AnswerObserver {
  private readonly tally: UsageTally;
  private readonly answer: MediaAnswerObserver;
  private readonly data = new ArrayCount("data");

  constructor(tally: UsageTally) {
    this.tally = tally;
    this.answer = new MediaAnswerObserver(tally);
  }

  feed(chunk: Buffer): void {
    this.answer.feed(chunk);
    this.data.feed(chunk);
  }

  finish(): void {
    this.answer.finish();
    if (this.data.count >= 0) this.tally.images = this.data.count;
  }
}

const MAX_IMAGES = 1_000;
const MAX_NAME = 64;

/** Size and quality that were asked for, and how many images, where the answer has not said. */
export function measureImages(body: Buffer, view: RequestView, tally: UsageTally): void {
  const [n, size, quality] = unitsAsked(body, view);
  if (tally.imageSize === "") tally.imageSize = size.slice(0, MAX_NAME);
  if (tally.imageQuality === "") tally.imageQuality = quality.slice(0, MAX_NAME);
  if (tally.images >= 0) return;
  const asked = Number(n);
  tally.images = Number.isInteger(asked) && asked >= 1 && asked <= MAX_IMAGES ? asked : 1;
  tally.unitsGuessed = true;
}

function unitsAsked(body: Buffer, { form }: RequestView): [n: string, size: string, quality: string] {
  if (form !== undefined) {
    return [textField(body, form, "n"), textField(body, form, "size"), textField(body, form, "quality")];
  }
  const scan = scanTopLevel(body, UNIT_KEYS);
  const text = (index: number): string => {
    const start = scan.starts[index] ?? -1;
    const end = scan.ends[index] ?? start;
    if (start < 0 || body[start] === 0x6e || end - start > 6 * MAX_NAME) return "";
    return (body[start] === 0x22 ? decodeString(body, start, end) : body.toString("latin1", start, end)) ?? "";
  };
  return [text(0), text(1), text(2)];
}
