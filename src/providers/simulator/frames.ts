/** An answer under construction: what is sent, piece by piece, and the output tokens each piece deals out. */
export class FrameList {
  readonly frames: string[] = [];
  /** Output tokens dealt out by the frame of the same index. */
  readonly tokens: number[] = [];
  /** Output tokens dealt out so far. */
  dealt = 0;

  /** A `data:` line alone, as OpenAI's older endpoints stream. */
  data(value: unknown, tokens = 0): void {
    this.raw(`data: ${JSON.stringify(value)}\n\n`, tokens);
  }

  /** An event whose name is also its data's `type`. */
  event(type: string, fields: object, tokens = 0): void {
    this.raw(`event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`, tokens);
  }

  raw(frame: string, tokens = 0): void {
    this.frames.push(frame);
    this.tokens.push(tokens);
    this.dealt += tokens;
  }

  /** A whole answer: one frame of JSON. */
  static whole(value: unknown, outputTokens: number): FrameList {
    const list = new FrameList();
    list.raw(JSON.stringify(value), outputTokens);
    return list;
  }
}
