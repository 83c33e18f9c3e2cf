// A file's samples at the file's own rate. decodeAudioData resamples to its context's rate, so the rate is looked up first.
import { MOST_CHUNKS, readWav, wordAt as text } from "./wav.js";

const LOWEST_RATE = 3_000; // that an AudioContext takes
const HIGHEST_RATE = 768_000;
const ADTS_RATES = [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];
const MOST_LOOKED_AT = 65_536; // bytes that are looked through for the first frame

// What is wrong with a sound, in words that go behind its name.
export class SoundError extends Error {}

export async function decode(bytes) {
  const view = new DataView(bytes);
  const heard = readWav(view) ?? (await decodeByBrowser(view));
  if (!heard.channels[0]?.length) throw new SoundError("holds no samples after its header. Remove it or fetch it again.");
  return heard;
}

async function decodeByBrowser(view) {
  const start = afterTag(view);
  const rate = rateOf(view, start) ?? 48_000;
  const promised = flacFrames(view, start);
  // the browser takes no FLAC behind a tag
  const bytes = start && promised !== null ? view.buffer.slice(start) : view.buffer;
  const context = new OfflineAudioContext(1, 1, playable(rate));
  const buffer = await context.decodeAudioData(bytes);
  if (buffer.length < promised) {
    throw new SoundError(`is damaged or cut off at ${(buffer.length / buffer.sampleRate).toFixed(1)} s. Fetch it again or remove it.`);
  }
  const channels = Array.from({ length: buffer.numberOfChannels }, (_, channel) => buffer.getChannelData(channel));
  return { channels, rate: buffer.sampleRate };
}

// The nearest rate that browsers play.
export const playable = (rate) => Math.min(HIGHEST_RATE, Math.max(LOWEST_RATE, rate));

// Returns where the sound begins: behind a tag that players put before any format.
function afterTag(view) {
  if (text(view, 0, 3) !== "ID3" || view.byteLength < 10) return 0;
  return 10 + [6, 7, 8, 9].reduce((size, place) => size * 128 + view.getUint8(place), 0);
}

function rateOf(view, start) {
  const head = text(view, start, 4);
  if (head === "RIFF" || head === "RF64") return wavRate(view);
  if (head === "fLaC" && view.byteLength > start + 21) return (view.getUint16(start + 18) << 4) | (view.getUint8(start + 20) >> 4);
  if (head === "OggS") return oggRate(view);
  if (head === "FORM") return null;
  if (head === "\x1aE\xdf\xa3") return matroskaRate(view);
  if (text(view, 4, 4) === "ftyp") return mp4Rate(view);
  return mpegRate(view, start);
}

// Returns how many frames a FLAC promises, 0 where it does not tell; null for what is no FLAC.
function flacFrames(view, start) {
  if (text(view, start, 4) !== "fLaC" || view.byteLength < start + 26) return null;
  const frames = (view.getUint8(start + 21) & 15) * 2 ** 32 + view.getUint32(start + 22);
  const ownRate = (view.getUint16(start + 18) << 4) | (view.getUint8(start + 20) >> 4);
  return ownRate === playable(ownRate) ? frames : 0; // at another rate the browser gives other frames
}

function wavRate(view) {
  for (let at = 12, chunk = 0; chunk < MOST_CHUNKS && at + 16 <= view.byteLength; chunk += 1) {
    if (text(view, at, 4) === "fmt ") return view.getUint32(at + 12, true);
    at += 8 + view.getUint32(at + 4, true) + (view.getUint32(at + 4, true) & 1);
  }
  return null;
}

function oggRate(view) {
  const start = text(view, 0, Math.min(view.byteLength, 200));
  const vorbis = start.indexOf("\x01vorbis");
  if (vorbis > 0) return view.getUint32(vorbis + 12, true);
  return start.includes("OpusHead") ? 48_000 : null;
}

// Of the first track that tells a rate; that of Opus is 48 kHz whatever it was made from.
function matroskaRate(view) {
  const start = text(view, 0, Math.min(view.byteLength, 4_096));
  if (start.includes("OpusHead")) return 48_000;
  for (let at = start.indexOf("\xb5"); at >= 0 && at + 10 <= start.length; at = start.indexOf("\xb5", at + 1)) {
    const size = view.getUint8(at + 1) & 0x7f;
    const rate = size === 8 ? view.getFloat64(at + 2) : size === 4 ? view.getFloat32(at + 2) : 0;
    if (Number.isInteger(rate) && rate === playable(rate)) return rate;
  }
  return null;
}

// MP3, and AAC in ADTS, which begin alike: where layer 0 stands, which is none, it is AAC.
function mpegRate(view, start) {
  let at = start;
  while (at < view.byteLength - 4 && view.getUint8(at) === 0) at += 1;
  for (const end = Math.min(view.byteLength - 4, at + MOST_LOOKED_AT); at < end; at += 1) {
    const [second, third] = [view.getUint8(at + 1), view.getUint8(at + 2)];
    if (view.getUint8(at) !== 0xff || second < 0xe0) continue;
    if (second >= 0xf0 && (second & 6) === 0) {
      const rate = ADTS_RATES[(third >> 2) & 15];
      if (rate) return rate;
      continue;
    }
    const version = (second >> 3) & 3;
    const rate = [44_100, 48_000, 32_000][(third >> 2) & 3];
    if (version !== 1 && (second & 6) && rate) return rate / { 3: 1, 2: 2, 0: 4 }[version];
  }
  return null;
}

function mp4Rate(view) {
  const bytes = new Uint8Array(view.buffer);
  for (let at = 4; at + 32 < bytes.length; at += 1) {
    if (bytes[at] === 0x6d && text(view, at, 4) === "mp4a" && view.getUint16(at + 28) > 0) return view.getUint16(at + 28);
  }
  return null;
}
