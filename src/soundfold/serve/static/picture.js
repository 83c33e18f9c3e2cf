// Waveform and mel spectrogram, drawn as the sound comes, or of a whole sound at once.

const N_FFT = 1024;
const N_MELS = 96;
const RANGE_DB = 70;
const REDRAW_MS = 80; // a picture that goes on is drawn a dozen times a second; more would take from the model's time

export class Picture {
  constructor(wave, mel, axis) {
    this.wave = wave;
    this.mel = mel;
    this.axis = axis;
    this.duration = 0;
    this.start = 0;
    this.due = null;
  }

  // A sound that goes on: the last so many seconds are in the picture.
  begin(rate, spread_s) {
    this.rate = rate;
    this.spread = spread_s;
    this.live = { ring: new Float32Array(Math.round(rate * spread_s)), total: 0 };
    this.bands = melBands(rate);
    this.duration = spread_s;
    this.start = 0;
    this.size();
    this.label();
  }

  add(block) {
    if (!this.live) return;
    const { ring } = this.live;
    for (const sample of block) ring[this.live.total++ % ring.length] = sample;
    this.start = Math.max(0, this.live.total / this.rate - this.spread);
    this.due ??= setTimeout(() => { this.due = null; this.drawLive(); }, REDRAW_MS);
  }

  show(samples, rate, start = 0) {
    this.live = null;
    this.samples = samples;
    this.rate = rate;
    this.bands = melBands(rate);
    this.duration = samples.length / rate;
    this.start = start;
    this.redraw();
  }

  clear(duration = 0) {
    this.live = this.samples = null;
    this.duration = duration;
    this.start = 0;
    this.size();
    this.label();
  }

  redraw() {
    if (this.live || !this.samples) return;
    this.size();
    this.draw(this.samples, this.samples.length);
    this.label();
  }

  drawLive() {
    if (!this.live) return;
    const { ring, total } = this.live;
    const shown = Math.min(total, ring.length);
    const plain = new Float32Array(shown);
    const first = total - shown;
    for (let at = 0; at < shown; at += 1) plain[at] = ring[(first + at) % ring.length];
    this.draw(plain, ring.length, total);
    this.label();
  }

  size() {
    const scale = Math.min(2, devicePixelRatio || 1);
    for (const canvas of [this.wave, this.mel]) {
      const { width, height } = canvas.getBoundingClientRect();
      canvas.width = Math.max(1, Math.round(width * scale));
      canvas.height = Math.max(1, Math.round(height * scale));
    }
    this.columns = null;
  }

  // Draw samples; a full width stands for `whole` of them. `total` tells live pictures which columns they have already.
  draw(samples, whole, total = samples.length) {
    const wave = this.wave.getContext("2d");
    const { width, height } = this.wave;
    wave.fillStyle = "#0b0915";
    wave.fillRect(0, 0, width, height);
    wave.fillStyle = "#b9acff";
    for (let x = 0; x < width; x += 1) {
      const from = Math.floor((x * whole) / width);
      const to = Math.min(samples.length, Math.max(from + 1, Math.floor(((x + 1) * whole) / width)));
      if (from >= samples.length) break;
      let low = 0;
      let high = 0;
      for (let at = from; at < to; at += 1) {
        if (samples[at] < low) low = samples[at];
        else if (samples[at] > high) high = samples[at];
      }
      const top = height / 2 - (Math.min(1, high) * height) / 2;
      wave.fillRect(x, top, 1, Math.max(1, ((Math.min(1, high) - Math.max(-1, low)) * height) / 2));
    }
    this.drawMel(samples, whole, total);
  }

  drawMel(samples, whole, total) {
    const { width, height } = this.mel;
    const hop = whole / Math.min(width, 700);
    const count = Math.min(Math.floor(samples.length / hop) + 1, Math.ceil(whole / hop));
    // Columns lie on a grid of the sound's own time, so that those of a live picture are computed once and then shift.
    const first = Math.max(0, Math.floor(total / hop) - count + 1);
    const known = this.columns ?? new Map();
    const columns = new Map();
    for (let column = first; column < first + count; column += 1) {
      const centre = Math.round(column * hop) - (total - samples.length);
      const whole_ = centre + N_FFT / 2 <= samples.length;
      const had = known.get(column);
      const made = had ?? this.bands(samples, centre - N_FFT / 2);
      if (whole_) columns.set(column, made);
      else columns.set(column, this.bands(samples, centre - N_FFT / 2));
    }
    this.columns = this.live ? columns : null;
    let loudest = -60;
    for (const column of columns.values()) for (const value of column) if (value > loudest) loudest = value;
    const image = new ImageData(Math.max(1, columns.size), N_MELS);
    let x = 0;
    for (const column of columns.values()) {
      for (let band = 0; band < N_MELS; band += 1) {
        const shade = Math.max(0, Math.min(255, Math.round(255 * (1 + (column[band] - loudest) / RANGE_DB))));
        const at = 4 * ((N_MELS - 1 - band) * image.width + x);
        image.data.set(SHADES.subarray(3 * shade, 3 * shade + 3), at);
        image.data[at + 3] = 255;
      }
      x += 1;
    }
    const small = new OffscreenCanvas(image.width, image.height);
    small.getContext("2d").putImageData(image, 0, 0);
    const mel = this.mel.getContext("2d");
    mel.fillStyle = "#0b0915";
    mel.fillRect(0, 0, width, height);
    mel.drawImage(small, 0, 0, (width * image.width * hop) / whole, height);
  }

  label() {
    const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600];
    const wide = this.axis.getBoundingClientRect().width || 600;
    const step = steps.find((one) => (this.duration / one) * 64 < wide) ?? 1200;
    const ticks = [];
    for (let at = Math.ceil(this.start / step - 1e-9) * step; this.duration && at <= this.start + this.duration + 1e-9; at += step) {
      const tick = document.createElement("span");
      const part = (at - this.start) / this.duration;
      tick.style.left = `${100 * part}%`;
      tick.className = part < 0.02 ? "begin" : part > 0.96 ? "end" : ""; // within the picture
      const shown = step < 1 ? at.toFixed(1) : at.toFixed(0);
      tick.textContent = at >= 60 ? `${Math.floor(at / 60)}:${(at % 60).toFixed(0).padStart(2, "0")}` : `${shown} s`;
      ticks.push(tick);
    }
    this.axis.replaceChildren(...ticks);
  }
}

// Returns what turns the samples from a place on into decibels in mel bands.
function melBands(rate) {
  const window = Float32Array.from({ length: N_FFT }, (_, n) => 0.5 - 0.5 * Math.cos((2 * Math.PI * n) / N_FFT));
  const mel = (hz) => 2595 * Math.log10(1 + hz / 700);
  const top = mel(rate / 2);
  const edges = Array.from({ length: N_MELS + 2 }, (_, n) => (700 * (10 ** ((top * n) / (N_MELS + 1) / 2595) - 1) * N_FFT) / rate);
  const real = new Float64Array(N_FFT);
  const imaginary = new Float64Array(N_FFT);
  return (samples, start) => {
    for (let n = 0; n < N_FFT; n += 1) {
      const at = start + n;
      real[n] = at >= 0 && at < samples.length ? samples[at] * window[n] : 0;
      imaginary[n] = 0;
    }
    transform(real, imaginary);
    const decibels = new Float32Array(N_MELS);
    for (let band = 0; band < N_MELS; band += 1) {
      const [low, middle, high] = edges.slice(band, band + 3);
      let sum = 0;
      let weights = 0;
      for (let bin = Math.max(1, Math.floor(low)); bin <= Math.min(N_FFT / 2, Math.ceil(high)); bin += 1) {
        const weight = Math.max(0.02, Math.min((bin - low) / (middle - low), (high - bin) / (high - middle)));
        sum += weight * (real[bin] ** 2 + imaginary[bin] ** 2);
        weights += weight;
      }
      decibels[band] = 10 * Math.log10(sum / (weights || 1) / N_FFT + 1e-12);
    }
    return decibels;
  };
}

const COSINES = Float64Array.from({ length: N_FFT / 2 }, (_, n) => Math.cos((2 * Math.PI * n) / N_FFT));
const SINES = Float64Array.from({ length: N_FFT / 2 }, (_, n) => Math.sin((2 * Math.PI * n) / N_FFT));

// The Fourier transform in place, by halves.
function transform(real, imaginary) {
  const size = real.length;
  for (let n = 1, swapped = 0; n < size; n += 1) {
    let bit = size >> 1;
    for (; swapped & bit; bit >>= 1) swapped ^= bit;
    swapped ^= bit;
    if (n < swapped) {
      [real[n], real[swapped]] = [real[swapped], real[n]];
      [imaginary[n], imaginary[swapped]] = [imaginary[swapped], imaginary[n]];
    }
  }
  for (let length = 2; length <= size; length *= 2) {
    const step = size / length;
    for (let start = 0; start < size; start += length) {
      for (let n = 0; n < length / 2; n += 1) {
        const a = start + n;
        const b = a + length / 2;
        const re = real[b] * COSINES[n * step] + imaginary[b] * SINES[n * step];
        const im = imaginary[b] * COSINES[n * step] - real[b] * SINES[n * step];
        real[b] = real[a] - re;
        imaginary[b] = imaginary[a] - im;
        real[a] += re;
        imaginary[a] += im;
      }
    }
  }
}

// From night over violet and coral to pale yellow: brightness grows evenly, so loudness reads without colour too.
const STOPS = [[11, 9, 21], [44, 22, 88], [104, 40, 132], [176, 58, 128], [232, 96, 98], [252, 160, 92], [254, 232, 160]];
const SHADES = new Uint8ClampedArray(256 * 3);
for (let shade = 0; shade < 256; shade += 1) {
  const place = (shade / 255) * (STOPS.length - 1);
  const stop = Math.min(STOPS.length - 2, Math.floor(place));
  for (let colour = 0; colour < 3; colour += 1) {
    SHADES[3 * shade + colour] = STOPS[stop][colour] + (place - stop) * (STOPS[stop + 1][colour] - STOPS[stop][colour]);
  }
}
