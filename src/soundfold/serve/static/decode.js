// A file's samples at the file's own rate. decodeAudioData resamples to its context's rate, so the rate is looked up first.

export async function decode(bytes) {
  const rate = rateOf(new DataView(bytes)) ?? 48_000;
  const context = new OfflineAudioContext(1, 1, Math.min(768_000, Math.max(3_000, rate)));
  const buffer = await context.decodeAudioData(bytes);
  const channels = Array.from({ length: buffer.numberOfChannels }, (_, channel) => buffer.getChannelData(channel));
  return { channels, rate: buffer.sampleRate };
}

const text = (view, at, length) => (at + length <= view.byteLength ? String.fromCharCode(...new Uint8Array(view.buffer, at, length)) : "");

function rateOf(view) {
  const head = text(view, 0, 4);
  if (head === "RIFF" || head === "RF64") return wavRate(view);
  if (head === "fLaC" && view.byteLength > 21) return (view.getUint16(18) << 4) | (view.getUint8(20) >> 4);
  if (head === "OggS") return oggRate(view);
  if (head === "FORM") return null;
  if (text(view, 4, 4) === "ftyp") return mp4Rate(view);
  return mp3Rate(view);
}

function wavRate(view) {
  for (let at = 12; at + 16 <= view.byteLength; ) {
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

function mp3Rate(view) {
  let at = 0;
  if (text(view, 0, 3) === "ID3" && view.byteLength > 10) {
    at = 10 + [6, 7, 8, 9].reduce((size, place) => size * 128 + view.getUint8(place), 0);
  }
  for (const end = Math.min(view.byteLength - 4, at + 65_536); at < end; at += 1) {
    if (view.getUint8(at) !== 0xff || view.getUint8(at + 1) < 0xe0) continue;
    const version = (view.getUint8(at + 1) >> 3) & 3;
    const rate = [44_100, 48_000, 32_000][(view.getUint8(at + 2) >> 2) & 3];
    if (version !== 1 && rate) return rate / { 3: 1, 2: 2, 0: 4 }[version];
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
