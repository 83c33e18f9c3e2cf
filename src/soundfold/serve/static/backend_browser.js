// The model runs in this browser, by onnxruntime-web; windows and answers are made as soundfold's own runtime makes them.
import * as ort from "./ort/ort.wasm.min.mjs";
import { SoundError, decode } from "./decode.js";
import { EventJoiner, inOrder } from "./joiner.js";
import { Resampler, resample } from "./resample.js";
import { isSilent, refuses, soundVerdict, verdict } from "./verdict.js";

export const WHERE = "The model runs in this browser: no sound leaves this machine.";
const MOST_WAITING = 8; // windows that may wait to be answered live
const BUSY = 2; // of so many that wait, overlapping ones are passed over

ort.env.wasm.numThreads = 1; // more need headers that few static hosts send
ort.env.wasm.wasmPaths = new URL("./ort/", import.meta.url).href;

let card = null;
let session = null;
let last = Promise.resolve();

export function setToken() {} // nobody asks for one here

export async function models() {
  const found = await fetch("model.json");
  if (!found.ok) throw new Error("model.json is missing beside this page. Export the folder again.");
  card = await found.json();
  session ??= await ort.InferenceSession.create("model.onnx", { executionProviders: ["wasm"] });
  return [card];
}

// Returns the probabilities of one window; one after the other, as a session takes no two at once.
function answer(channels) {
  const run = last.then(async () => {
    const values = new Float32Array(card.channels * card.window);
    const before = Math.floor((card.window - channels[0].length) / 2);
    channels.forEach((samples, channel) => values.set(samples, channel * card.window + before));
    const told = await session.run({ waveform: new ort.Tensor("float32", values, [1, card.channels, card.window]) });
    return Array.from(told.probabilities.data);
  });
  last = run.catch(() => {});
  return run;
}

export async function predict(file, bytes) {
  const heard = await decode(bytes.slice(0)).catch((error) => {
    if (error instanceof SoundError) throw new Error(`${file.name}: ${error.message}`);
    throw new Error(`${file.name} is not a sound that this browser can decode. Convert it to 16-bit WAV.`);
  });
  refuseWhatIsNoNumber(file.name, heard);
  refuseTooFew(file.name, heard.channels.length);
  const kept = remixed(heard.channels).map((samples) => resample(samples, heard.rate, card.sample_rate));
  const channels = doubled(kept);
  const timeline = [];
  const events = [];
  const joiner = new EventJoiner(card);
  const sums = ["known", "refused", "silent"].map(() => ({ row: card.labels.map(() => 0), samples: 0 }));
  const total = channels[0].length;
  for (let start = 0; start < total; start += card.window) {
    const part = channels.map((samples) => samples.subarray(start, start + card.window));
    const row = await answer(part);
    const silent = isSilent(card, part);
    const told = span(start, part[0].length, row, silent);
    const sum = sums[silent ? 2 : card.rejection?.by_window && refuses(card.rejection, row) ? 1 : 0];
    sum.row = sum.row.map((value, label) => value + row[label] * part[0].length);
    sum.samples += part[0].length;
    timeline.push(told);
    events.push(...joiner.add(start, start + part[0].length, row, silent));
    await new Promise((resolve) => setTimeout(resolve)); // the page stays alive in between
  }
  // what is like no class tells nothing of the sound, and silence still less, unless there is nothing else
  const sum = sums.find((one) => one.samples);
  const mean = sum.row.map((value) => value / sum.samples);
  if (!mean.every(Number.isFinite)) throw new Error(`${file.name}: its samples are too large for an answer. Scale them to -1 … 1.`);
  events.push(...joiner.finish());
  const told = { path: file.name, ...soundVerdict(card, mean, timeline), probabilities: named(mean), duration_s: total / card.sample_rate };
  const whole = { ...told, events: events.sort(inOrder) };
  return timeline.length > 1 ? { ...whole, timeline } : whole;
}

export async function stream(rate, model, hop_s, onSpan, onError) {
  const resampler = new Resampler(rate, card.sample_rate);
  const hop = Math.round(hop_s * card.sample_rate);
  const held = new Float32Array(card.window);
  let filled = 0;
  let answered = 0; // samples at the beginning of `held` that a window has held already
  let start = 0;
  let reached = 0; // where the last window that was asked for ends
  let waiting = 0;
  let all = Promise.resolve();
  const ask = (samples, at) => {
    waiting += 1;
    if (waiting > MOST_WAITING) onError(new Error("This machine is too slow to hear this model live. Record, or use a smaller one."));
    reached = at + samples.length;
    all = all.then(async () => {
      const row = await answer(doubled([samples]));
      if (!row.every(Number.isFinite)) throw new Error("The sound's samples are too large for an answer. Scale them to -1 … 1.");
      onSpan(span(at, samples.length, row, isSilent(card, [samples])));
      waiting -= 1;
    });
    all.catch(onError);
  };
  const push = (samples) => {
    for (let at = 0; at < samples.length; ) {
      const taken = Math.min(card.window - filled, samples.length - at);
      held.set(samples.subarray(at, at + taken), filled);
      filled += taken;
      at += taken;
      if (filled < card.window) continue;
      if (waiting < BUSY || start + hop > reached) ask(held.slice(), start);
      held.copyWithin(0, hop);
      answered = filled = card.window - hop;
      start += hop;
    }
  };
  return {
    send: (block) => {
      if (block.every(Number.isFinite)) push(resampler.feed(block));
      else onError(new Error("The sound must hold finite numbers, got NaN or infinity. Mend or cut those samples."));
    },
    finish: async () => {
      push(resampler.finish());
      if (filled > answered) ask(held.slice(0, filled), start);
      await all;
    },
  };
}

function refuseWhatIsNoNumber(name, { channels, rate }) {
  const first = channels.map((samples) => samples.findIndex((sample) => !Number.isFinite(sample))).filter((at) => at >= 0);
  if (!first.length) return;
  const at = Math.min(...first);
  const what = channels.some((samples) => Number.isNaN(samples[at])) ? "NaN" : "infinity";
  throw new Error(`${name}: holds ${what} at ${(at / rate).toFixed(3)} s. Repair it or remove it.`);
}

function refuseTooFew(name, count) {
  if (count === 1 || count >= card.channels) return;
  throw new Error(`${name}: has ${count} channels, and ${card.channels} cannot be made of them. Ask for at most ${count}.`);
}

function remixed(channels) {
  if (channels.length <= card.channels) return channels.slice(0, card.channels);
  if (card.downmix === "first") return channels.slice(0, card.channels);
  return [channels[0].map((_, at) => channels.reduce((sum, samples) => sum + samples[at], 0) / channels.length)];
}

const doubled = (channels) => (channels.length < card.channels ? Array(card.channels).fill(channels[0]) : channels);
const named = (row) => Object.fromEntries(card.labels.map((label, place) => [label, row[place]]));

function span(start, length, row, silent) {
  const times = { start_s: start / card.sample_rate, end_s: (start + length) / card.sample_rate };
  return { ...times, ...verdict(card, row, silent), ...(silent && { silent }), probabilities: named(row) };
}
