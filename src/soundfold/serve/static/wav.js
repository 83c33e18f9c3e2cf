// Regular WAV files, read as Python reads them: at any rate, with any number of channels, to the bit. Browsers resample
// what is slower than 3 kHz, take no more than 32 channels, and put 8 bits elsewhere.

const PCM = 1;
const FLOAT = 3;
const EXTENSIBLE = 0xfffe;
const SUBFORMAT = [0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71]; // follows the coding in an extensible header
export const MOST_CHUNKS = 4096;
const MOST_CHANNELS = 1024;

// How a sample is read, by its coding and bits.
const READERS = {
  [`${PCM} 8`]: (view, at) => (view.getUint8(at) - 128) / 128,
  [`${PCM} 16`]: (view, at) => view.getInt16(at, true) / 2 ** 15,
  [`${PCM} 24`]: (view, at) => ((view.getInt8(at + 2) << 16) | view.getUint16(at, true)) / 2 ** 23,
  [`${PCM} 32`]: (view, at) => view.getInt32(at, true) / 2 ** 31,
  [`${FLOAT} 32`]: (view, at) => view.getFloat32(at, true),
  [`${FLOAT} 64`]: (view, at) => view.getFloat64(at, true),
};

// Returns {channels, rate}, or null where the coding is for the browser's own decoder. A file that ends before its
// header says so gives what is there.
export function readWav(view) {
  const kind = wordAt(view, 0);
  if ((kind !== "RIFF" && kind !== "RF64") || wordAt(view, 8) !== "WAVE") return null;
  const found = chunks(view);
  const form = found && formOf(view, found);
  if (!form || !found.data) return null;
  const { count, rate, bytes, read } = form;
  const frames = Math.floor(Math.min(found.data.size, view.byteLength - found.data.at) / (count * bytes));
  const channels = Array.from({ length: count }, (_, channel) => {
    const samples = new Float32Array(frames);
    let at = found.data.at + channel * bytes;
    for (let frame = 0; frame < frames; frame += 1, at += count * bytes) samples[frame] = read(view, at);
    return samples;
  });
  return { channels, rate };
}

// Returns where the header's parts lie, up to the samples.
function chunks(view) {
  const found = {};
  let at = 12;
  for (let number = 0; number < MOST_CHUNKS && at + 8 <= view.byteLength; number += 1) {
    const name = wordAt(view, at);
    let size = view.getUint32(at + 4, true);
    if (name === "data") {
      // of a file beyond 4 GB the size stands elsewhere
      if (size === 0xffffffff && found.ds64?.size >= 16) size = Number(view.getBigUint64(found.ds64.at + 8, true));
      return { ...found, data: { at: at + 8, size } };
    }
    if (at + 8 + size > view.byteLength) return null;
    found[name] ??= { at: at + 8, size };
    at += 8 + size + (size & 1);
  }
  return null;
}

function formOf(view, found) {
  const chunk = found["fmt "];
  if (!chunk || chunk.size < 16) return null;
  const { at } = chunk;
  const [count, rate, frame, bits] = [view.getUint16(at + 2, true), view.getUint32(at + 4, true), view.getUint16(at + 12, true), view.getUint16(at + 14, true)];
  let coding = view.getUint16(at, true);
  if (coding === EXTENSIBLE) {
    if (chunk.size < 40 || view.getUint16(at + 18, true) !== bits) return null;
    if (SUBFORMAT.some((byte, place) => view.getUint8(at + 26 + place) !== byte)) return null;
    coding = view.getUint16(at + 24, true);
  }
  const read = READERS[`${coding} ${bits}`];
  const within = count > 0 && count <= MOST_CHANNELS && rate > 0;
  return read && within && frame === (count * bits) / 8 ? { count, rate, bytes: bits / 8, read } : null;
}

export const wordAt = (view, at, length = 4) => (at + length <= view.byteLength ? String.fromCharCode(...new Uint8Array(view.buffer, at, length)) : "");
