import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { audioLength } from "../../../../src/dialects/audio-length.js";
import { box, flac, mp3, ogg, wav } from "./sounds.js";

describe("the length of a sound", () => {
  it("is in a WAV's header, whatever stands before the sound", () => {
    expect(audioLength(wav(2.5))).toEqual({ seconds: 2.5, exact: true });
    const odd = Buffer.concat([Buffer.from("LIST"), Buffer.from([3, 0, 0, 0, 1, 2, 3, 0])]);
    expect(audioLength(wav(1, { before: odd }))).toEqual({ seconds: 1, exact: true });
    // Recorders that cannot go back leave the size at its highest: the sound goes to the end.
    expect(audioLength(wav(1.25, { size: 0xffffffff }))).toEqual({ seconds: 1.25, exact: true });
  });

  it("is in FLAC's, Ogg's and MP4's", () => {
    expect(audioLength(flac(44_100, 44_100 * 3))).toEqual({ seconds: 3, exact: true });
    expect(audioLength(flac(44_100, 0))).toBeNull();
    expect(audioLength(ogg("opus", 48_000 * 7 + 312))).toEqual({ seconds: 7, exact: true });
    expect(audioLength(ogg("vorbis", 44_100 * 4))).toEqual({ seconds: 4, exact: true });
    const header = Buffer.alloc(32);
    header.writeUInt32BE(1_000, 12);
    header.writeUInt32BE(9_500, 16);
    const movie = Buffer.concat([
      box("ftyp", Buffer.from("M4A ")),
      box("free", Buffer.alloc(9)),
      box("moov", box("mvhd", header)),
    ]);
    expect(audioLength(movie)).toEqual({ seconds: 9.5, exact: true });
  });

  it("is in an MP3's frame count, else follows from its bit rate", () => {
    expect(audioLength(mp3({ kilobits: 128, bytes: 160_000 }))).toEqual({ seconds: 10, exact: false });
    expect(audioLength(mp3({ kilobits: 128, bytes: 160_000, tag: 300 }))?.seconds).toBeCloseTo(10, 0);
    expect(audioLength(mp3({ kilobits: 128, bytes: 4_000, frames: 1_000 }))).toEqual({ seconds: 26.122, exact: true });
  });

  it("is not known of anything else, and nothing throws", () => {
    for (const other of [Buffer.alloc(0), Buffer.from("hello, this is no sound"), Buffer.from("RIFF....WAVE....")]) {
      expect(audioLength(other)).toBeNull();
    }
    const magic = fc.constantFrom(
      "RIFF0000WAVE",
      "fLaC",
      "OggS\u0000\u0000",
      "\u0000\u0000\u0000\u0018ftypM4A ",
      "ID3",
      "\u00ff\u00fb",
    );
    fc.assert(
      fc.property(magic, fc.uint8Array({ maxLength: 200 }), (start, rest) => {
        const length = audioLength(Buffer.concat([Buffer.from(start, "latin1"), rest]));
        if (length !== null) expect(length.seconds).toBeGreaterThanOrEqual(0);
      }),
    );
  });
});
