/** Forms as a client sends them: fields, then one file. */

export interface SentBody {
  readonly bytes: Buffer;
  readonly contentType: string;
}

export interface SentFile {
  readonly field: string;
  readonly name: string;
  readonly bytes: Buffer;
}

const BOUNDARY = "----weirFormBoundary7MA4YWxk";

/** A form of these fields and files. */
export function formOf(fields: Readonly<Record<string, unknown>>, files: readonly SentFile[]): SentBody {
  const pieces: Buffer[] = Object.entries(fields).map(([name, value]) =>
    Buffer.from(`--${BOUNDARY}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${String(value)}\r\n`),
  );
  for (const { field, name, bytes } of files) {
    const head = `Content-Disposition: form-data; name="${field}"; filename="${name}"\r\nContent-Type: application/octet-stream`;
    pieces.push(Buffer.from(`--${BOUNDARY}\r\n${head}\r\n\r\n`), bytes, Buffer.from("\r\n"));
  }
  pieces.push(Buffer.from(`--${BOUNDARY}--\r\n`));
  return { bytes: Buffer.concat(pieces), contentType: `multipart/form-data; boundary=${BOUNDARY}` };
}
