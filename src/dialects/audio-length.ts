/**
 * How long a sound file plays, read from its headers: WAV, FLAC, Ogg (Opus, Vorbis), MP4 and MP3. Bytes may say
 * anything: what does not add up has no length. Sources: RFC 9639, RFC 3533, RFC 7845, ISO/IEC 14496-12, the RIFF
 * and MPEG audio headers.
 */

export interface AudioLength {
  readonly seconds: number;
  /** False: worked out from the size and the first frame's bit rate. */
  readonly exact: boolean;
}

/** Longer than anything that is uploaded: a header that says more is wrong. */
const MAX_SECONDS = 1_000_000;
const THOUSANDTHS = 1_000;

/** null: not a format that is known, or broken. */
export function audioLength(bytes: Buffer): AudioLength | null {
  const length = lengthOf(bytes);
  if (length === null || !Number.isFinite(length.seconds) || length.seconds < 0 || length.seconds > MAX_SECONDS) {
    return null;
  }
  return { seconds: Math.round(length.seconds * THOUSANDTHS) / THOUSANDTHS, exact: length.exact };
}

function lengthOf(bytes: Buffer): AudioLength | null {
  if (bytes.length < 16) return null;
  const magic = bytes.toString("latin1", 0, 4);
  if (magic === "RIFF" && bytes.toString("latin1", 8, 12) === "WAVE") return exactly(wavSeconds(bytes));
  if (magic === "fLaC") return exactly(flacSeconds(bytes));
  if (magic === "OggS") return exactly(oggSeconds(bytes));
  if (bytes.toString("latin1", 4, 8) === "ftyp") return exactly(mp4Seconds(bytes));
  return mp3Length(bytes);
}

function exactly(seconds: number | null): AudioLength | null {
  return seconds === null ? null : { seconds, exact: true };
}

/** Chunks until the sound itself; a size that a recorder never filled in means: to the end. */
function wavSeconds(bytes: Buffer): number | null {
  let bytesPerSecond = 0;
  for (let at = 12; at + 8 <= bytes.length; ) {
    const id = bytes.toString("latin1", at, at + 4);
    const size = bytes.readUInt32LE(at + 4);
    if (id === "fmt " && at + 20 <= bytes.length) bytesPerSecond = bytes.readUInt32LE(at + 16);
    if (id === "data") return bytesPerSecond === 0 ? null : Math.min(size, bytes.length - at - 8) / bytesPerSecond;
    at += 8 + size + (size & 1);
  }
  return null;
}

/** STREAMINFO is the first block. 0 samples = not known. */
function flacSeconds(bytes: Buffer): number | null {
  if (bytes.length < 26) return null;
  const rate = bytes.readUIntBE(18, 3) >>> 4;
  const samples = (bytes.readUInt8(21) & 0x0f) * 2 ** 32 + bytes.readUInt32BE(22);
  return rate === 0 || samples === 0 ? null : samples / rate;
}

/** The last page says how many samples have been played by its end. */
function oggSeconds(bytes: Buffer): number | null {
  const opus = bytes.subarray(0, 128).indexOf("OpusHead");
  const vorbis = bytes.subarray(0, 128).indexOf("\u0001vorbis");
  const last = bytes.lastIndexOf("OggS");
  if (last < 0 || last + 14 > bytes.length) return null;
  const granule = Number(bytes.readBigInt64LE(last + 6));
  if (opus >= 0 && opus + 12 <= bytes.length) return Math.max(0, granule - bytes.readUInt16LE(opus + 10)) / 48_000;
  if (vorbis < 0 || vorbis + 16 > bytes.length) return null;
  const rate = bytes.readUInt32LE(vorbis + 12);
  return rate === 0 || granule < 0 ? null : granule / rate;
}

/** Boxes until the movie's header. */
function mp4Seconds(bytes: Buffer): number | null {
  let end = bytes.length;
  for (let at = 0; at + 16 <= end; ) {
    const short = bytes.readUInt32BE(at);
    const type = bytes.toString("latin1", at + 4, at + 8);
    const size = short === 1 ? Number(bytes.readBigUInt64BE(at + 8)) : short === 0 ? end - at : short;
    if (type === "mvhd") return mvhdSeconds(bytes.subarray(at + 8, at + size));
    if (size < 8) return null;
    if (type === "moov") {
      end = Math.min(end, at + size);
      at += 8;
    } else at += size;
  }
  return null;
}

function mvhdSeconds(box: Buffer): number | null {
  const long = box[0] === 1;
  if (box.length < (long ? 32 : 20)) return null;
  const scale = box.readUInt32BE(long ? 20 : 12);
  const duration = long ? Number(box.readBigUInt64BE(24)) : box.readUInt32BE(16);
  return scale === 0 ? null : duration / scale;
}

const BIT_RATES_V1 = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
const BIT_RATES_V2 = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
const SAMPLE_RATES = [44_100, 48_000, 32_000];
/** Bytes between a tag and the first frame that are padding, at the most. */
const MAX_PADDING = 8_192;

/** Layer III alone. A Xing or Info header tells the number of frames; else the first frame's rate is all frames'. */
function mp3Length(bytes: Buffer): AudioLength | null {
  const frame = firstFrame(bytes, id3Bytes(bytes));
  if (frame === null) return null;
  const { at, kilobits, sampleRate, version1 } = frame;
  const samples = version1 ? 1_152 : 576;
  const head = bytes.subarray(at, at + 64);
  const tag = Math.max(head.indexOf("Xing"), head.indexOf("Info"));
  if (tag >= 0 && head.length >= tag + 12 && ((head[tag + 7] as number) & 1) === 1) {
    return { seconds: (head.readUInt32BE(tag + 8) * samples) / sampleRate, exact: true };
  }
  return { seconds: ((bytes.length - at) * 8) / (kilobits * 1_000), exact: false };
}

/** Length of the tag in front, in bytes of seven bits. */
function id3Bytes(bytes: Buffer): number {
  if (bytes.toString("latin1", 0, 3) !== "ID3") return 0;
  const [a = 0, b = 0, c = 0, d = 0] = bytes.subarray(6, 10);
  return 10 + ((a & 0x7f) << 21) + ((b & 0x7f) << 14) + ((c & 0x7f) << 7) + (d & 0x7f);
}

interface Frame {
  readonly at: number;
  readonly kilobits: number;
  readonly sampleRate: number;
  readonly version1: boolean;
}

function firstFrame(bytes: Buffer, from: number): Frame | null {
  const end = Math.min(bytes.length - 4, from + MAX_PADDING);
  for (let at = from; at <= end; at++) {
    // Eleven bits of sync, then version and layer; layer III is 01.
    if (bytes[at] !== 0xff || ((bytes[at + 1] as number) & 0xe6) !== 0xe2) continue;
    const second = bytes[at + 1] as number;
    const third = bytes[at + 2] as number;
    const version = (second >> 3) & 3;
    const kilobits = (version === 3 ? BIT_RATES_V1 : BIT_RATES_V2)[third >> 4] ?? 0;
    const rate = SAMPLE_RATES[(third >> 2) & 3];
    if (version === 1 || kilobits === 0 || rate === undefined) continue;
    const sampleRate = version === 3 ? rate : version === 2 ? rate / 2 : rate / 4;
    return { at, kilobits, sampleRate, version1: version === 3 };
  }
  return null;
}
