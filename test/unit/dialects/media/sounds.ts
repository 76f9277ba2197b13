/** Sound files, made by hand from their formats' definitions. */

const RATE = 8_000;

/** 8 kHz, 16 bit, one channel: silence of so many seconds. `before`: chunks in front of the sound. */
export function wav(seconds: number, { before = Buffer.alloc(0), size = -1 } = {}): Buffer {
  const sound = Buffer.alloc(seconds * RATE * 2);
  const format = Buffer.alloc(24);
  format.write("fmt ", 0, "latin1");
  format.writeUInt32LE(16, 4);
  format.writeUInt16LE(1, 8);
  format.writeUInt16LE(1, 10);
  format.writeUInt32LE(RATE, 12);
  format.writeUInt32LE(RATE * 2, 16);
  format.writeUInt16LE(2, 20);
  format.writeUInt16LE(16, 22);
  const data = Buffer.alloc(8);
  data.write("data", 0, "latin1");
  data.writeUInt32LE(size < 0 ? sound.length : size, 4);
  const rest = Buffer.concat([Buffer.from("WAVE"), format, before, data, sound]);
  const head = Buffer.alloc(8);
  head.write("RIFF", 0, "latin1");
  head.writeUInt32LE(rest.length, 4);
  return Buffer.concat([head, rest]);
}

/** The marker and STREAMINFO. */
export function flac(rate: number, samples: number): Buffer {
  const info = Buffer.alloc(38);
  info.writeUInt32BE(34, 0);
  // 20 bits of rate, 3 of channels, 5 of sample size, 36 of samples.
  info.writeUIntBE(rate * 16, 14, 3);
  info.writeUInt8(0xf0, 17);
  info.writeUInt32BE(samples, 18);
  return Buffer.concat([Buffer.from("fLaC"), info, Buffer.alloc(100)]);
}

/** A first page with the codec's head, and a last page. Vorbis is of 44.1 kHz, Opus skips 312 samples. */
export function ogg(codec: "opus" | "vorbis", granule: number): Buffer {
  const head = Buffer.alloc(30);
  if (codec === "opus") {
    head.write("OpusHead\u0001\u0001", 0, "latin1");
    head.writeUInt16LE(312, 10);
  } else {
    head.write("\u0001vorbis", 0, "latin1");
    head.writeUInt32LE(44_100, 12);
  }
  return Buffer.concat([page(0), head, Buffer.alloc(300, "x"), page(granule), Buffer.alloc(50)]);
}

function page(granule: number): Buffer {
  const bytes = Buffer.alloc(28);
  bytes.write("OggS", 0, "latin1");
  bytes.writeBigInt64LE(BigInt(granule), 6);
  return bytes;
}

/** One box of MP4. */
export function box(type: string, content: Buffer): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(8 + content.length, 0);
  head.write(type, 4, "latin1");
  return Buffer.concat([head, content]);
}

/** MPEG 1, layer III, 44.1 kHz. `tag`: bytes of an ID3 tag; `frames`: as a Xing header counts them. */
export function mp3({ kilobits = 128, bytes = 0, tag = 0, frames = 0 }): Buffer {
  if (kilobits !== 128) throw new Error("only 128 kbit/s is written here");
  const sound = Buffer.alloc(bytes);
  sound.writeUInt32BE(0xfffb9000, 0);
  if (frames > 0) {
    sound.write("Xing", 36, "latin1");
    sound.writeUInt32BE(1, 40);
    sound.writeUInt32BE(frames, 44);
  }
  if (tag === 0) return sound;
  const id3 = Buffer.alloc(10 + tag);
  id3.write("ID3", 0, "latin1");
  id3[8] = tag >> 7;
  id3[9] = tag & 0x7f;
  return Buffer.concat([id3, sound]);
}
