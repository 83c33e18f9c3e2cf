// The page: what a person does, and what is shown. Where the model runs, ./backend.js alone knows.
import * as backend from "./backend.js";
import { Microphone, wavOf } from "./microphone.js";
import { Picture } from "./picture.js";
import { audacityOf, colour, csvOf, eventsOf, hueOf, percent, seconds } from "./events.js";
import { decode } from "./decode.js";

const $ = (id) => document.getElementById(id);
const MOST_LIVE_S = 600; // of what was heard live, so much is kept to be looked at and heard again

const picture = new Picture($("wave"), $("mel"), $("axis"));
let sound = null; // {samples, rate}
let spans = [];
let playing = null;
let microphone = null;
let name = "sound";
let known = []; // the models
let work = 0; // which of the sounds is the newest; answers for older ones are thrown away
const audio = () => (audio.context ??= new AudioContext());

// ---- telling

function tell(text, busy = false) {
  $("status").textContent = text;
  $("status").classList.toggle("busy", busy);
}

function fail(error) {
  tell("");
  $("error").textContent = error?.message ?? String(error);
  if (!sound && !spans.length) {
    $("picture").hidden = true;
    document.querySelector("main").classList.add("empty");
  }
  if (error?.status === 401) $("token-form").hidden = false;
}

function begin() {
  stopPlaying();
  $("error").textContent = "";
  $("answer").hidden = $("events").hidden = true;
  $("picture").hidden = false;
  document.querySelector("main").classList.remove("empty");
  spans = [];
  sound = null;
  $("play").disabled = true;
  $("length").textContent = "";
  showTrack();
  return ++work;
}

function showAnswer(answer) {
  const unknown = answer.nearest !== undefined && answer.nearest !== null;
  $("answer").hidden = false;
  $("heading").textContent = answer.labels ? "Heard" : "Most likely";
  const label = answer.labels ? answer.labels.join(", ") || "none of the labels" : answer.label;
  if ($("label").textContent !== label) $("label").textContent = label;
  $("nearest").hidden = !unknown;
  if (unknown) $("nearest").textContent = `None of its classes, as far as this model can tell; the nearest is ${answer.nearest}`;
  const rows = Object.entries(answer.probabilities).sort((a, b) => b[1] - a[1]).slice(0, 5);
  $("bars").replaceChildren(...rows.map(([label, probability]) => {
    const row = document.createElement("li");
    row.style.setProperty("--hue", hueOf(label));
    const bar = element("div", "bar");
    bar.append(element("div"));
    bar.firstChild.style.width = percent(probability).replace(" ", "");
    row.append(element("span", "", label), element("b", "", percent(probability)), bar);
    return row;
  }));
}

function element(kind, className = "", text = "") {
  const made = document.createElement(kind);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

function showTrack() {
  const events = eventsOf(spans);
  const total = picture.duration || 1;
  const from = picture.start;
  $("track").hidden = !events.length;
  $("track").replaceChildren(...events.filter((event) => event.end_s > from).map((event) => {
    const button = eventButton(event, event.label);
    button.style.left = `${(100 * (Math.max(event.start_s, from) - from)) / total}%`;
    button.style.width = `calc(${(100 * (event.end_s - Math.max(event.start_s, from))) / total}% - 2px)`;
    button.tabIndex = -1; // the list below has the same ones, in order, for the keyboard
    button.setAttribute("aria-hidden", "true");
    return button;
  }));
}

function showEvents() {
  const events = eventsOf(spans);
  $("events").hidden = !events.length;
  $("list").replaceChildren(...events.map((event) => {
    const item = element("li");
    const button = eventButton(event);
    const swatch = element("span", event.nearest ? "swatch unknown" : "swatch");
    button.append(swatch, element("span", "soft", `${seconds(event.start_s)} – ${seconds(event.end_s)}`),
      element("span", "", event.label), element("b", "", event.nearest ? `${event.nearest}?` : percent(event.probability)));
    item.append(button);
    return item;
  }));
  $("length").textContent = sound ? `${seconds(sound.samples.length / sound.rate)} s` : "";
  $("play").disabled = !sound;
  showTrack();
}

function eventButton(event, text = "") {
  const button = element("button", event.nearest ? "unknown" : "", text);
  button.type = "button";
  button.style.setProperty("--hue", hueOf(event.label));
  button.setAttribute("aria-label", `Play ${event.label}, ${seconds(event.start_s)} to ${seconds(event.end_s)} seconds, ${percent(event.probability)}`);
  button.title = `${event.label} ${percent(event.probability)}`;
  button.addEventListener("click", () => play(event.start_s, event.end_s, button).catch(fail));
  return button;
}

// ---- hearing

function stopPlaying() {
  if (!playing) return;
  playing.source.onended = null;
  playing.source.stop();
  playing.button.classList.remove("playing");
  if (playing.button === $("play")) $("play").textContent = "Play all";
  $("cursor").hidden = true;
  playing = null;
}

async function play(start, end, button) {
  if (!sound) return;
  const again = playing?.button === button;
  stopPlaying();
  if (again) return;
  const context = audio();
  await context.resume();
  const buffer = context.createBuffer(1, sound.samples.length, sound.rate);
  buffer.copyToChannel(sound.samples, 0);
  const source = context.createBufferSource();
  source.buffer = buffer;
  source.connect(context.destination);
  source.onended = stopPlaying;
  const offset = sound.start ?? 0;
  source.start(0, Math.max(0, start - offset), end - Math.max(start, offset));
  button.classList.add("playing");
  if (button === $("play")) $("play").textContent = "Stop";
  playing = { source, button, at: context.currentTime, start };
  const move = () => {
    if (playing?.source !== source) return;
    const place = (start + context.currentTime - playing.at - picture.start) / picture.duration;
    $("cursor").hidden = false;
    $("cursor").style.left = `${100 * Math.min(1, Math.max(0, place))}%`;
    requestAnimationFrame(move);
  };
  move();
}

// ---- files and recordings

async function take(file) {
  if (!file) return;
  await stopMicrophone();
  const mine = begin();
  name = file.name || "recording";
  tell(`Listening to ${name}`, true);
  try {
    const bytes = await file.arrayBuffer();
    if (!bytes.byteLength) throw new Error(`${name} is empty. Choose another file.`);
    const drawn = decode(bytes.slice(0)).then((heard) => {
      if (mine !== work) return;
      sound = { samples: heard.channels[0], rate: heard.rate };
      picture.show(sound.samples, sound.rate);
    }).catch(() => picture.clear()); // what the browser cannot decode, the server may
    const answer = await backend.predict(file, bytes, $("model").value);
    await drawn;
    if (mine !== work) return;
    spans = answer.timeline ?? [{ start_s: 0, end_s: answer.duration_s, label: answer.label, probability: answer.probability, nearest: answer.nearest }];
    if (!sound) picture.clear(answer.duration_s);
    showAnswer(answer);
    showEvents();
    tell(sound ? `${name}, heard` : `${name}, heard; this browser cannot play or draw it`);
    $("error").textContent = "";
    page.answer = answer;
  } catch (error) {
    if (mine === work) fail(error);
  }
}

// ---- the microphone

async function openMicrophone(button, word, onBlock) {
  const mine = begin();
  const opened = new Microphone(onBlock);
  microphone = { opened, button, mine };
  button.setAttribute("aria-pressed", "true");
  button.querySelector(".word").textContent = word;
  for (const other of [$("record"), $("live")]) other.disabled = other !== button;
  $("meter").hidden = false;
  try {
    await opened.start();
  } catch (error) {
    await stopMicrophone();
    const why = { NotAllowedError: "may not be used. Allow it in the browser's settings of this page", NotFoundError: "is missing. Plug one in" };
    throw new Error(`The microphone ${why[error.name] ?? `cannot be opened (${error.message})`}.`);
  }
  return mine;
}

async function stopMicrophone() {
  if (!microphone) return;
  const { opened, button } = microphone;
  microphone = null;
  await opened.stop();
  button.setAttribute("aria-pressed", "false");
  button.querySelector(".word").textContent = button === $("record") ? "Record" : "Listen live";
  $("record").disabled = $("live").disabled = false;
  $("meter").hidden = true;
}

function level(block) {
  let sum = 0;
  for (const sample of block) sum += sample * sample;
  const db = Math.max(-60, Math.min(0, 10 * Math.log10(sum / block.length + 1e-9)));
  $("meter").setAttribute("aria-valuenow", db.toFixed(0));
  $("meter").firstChild.style.clipPath = `inset(0 ${(-100 * db) / 60}% 0 0)`;
}

async function record() {
  if (microphone) {
    const { opened } = microphone;
    await stopMicrophone();
    const samples = opened.samples();
    if (samples.length) await take(new File([wavOf(samples, opened.rate)], "recording.wav", { type: "audio/wav" }));
    else fail(new Error("Nothing was recorded. Try again."));
    return;
  }
  let heard = 0;
  await openMicrophone($("record"), "Stop", (block, rate) => {
    level(block);
    if (!heard) picture.begin(rate, 10);
    picture.add(block);
    heard += block.length;
    tell(`Recording, ${seconds(heard / rate)} s`);
    if (heard / rate > MOST_LIVE_S) record();
  });
}

async function live() {
  if (microphone) {
    const { opened, mine } = microphone;
    await stopMicrophone();
    tell("Finishing", true);
    try {
      await opened.stream?.finish();
    } catch (error) {
      fail(error);
    }
    if (mine !== work) return;
    const samples = opened.samples();
    sound = { samples, rate: opened.rate, start: opened.dropped / opened.rate };
    if (samples.length && spans.length) {
      picture.show(samples, opened.rate, sound.start);
      page.live = { samples, rate: opened.rate, spans, dropped: opened.dropped };
    }
    showEvents();
    tell("Stopped");
    return;
  }
  name = "live";
  let stream = null;
  const early = [];
  const mine = await openMicrophone($("live"), "Stop", (block, rate) => {
    level(block);
    picture.add(block);
    if (stream) stream.send(block);
    else early.push(block);
  });
  const opened = microphone.opened;
  opened.keep(MOST_LIVE_S);
  picture.begin(opened.rate, 10);
  tell("Listening", true);
  try {
    stream = opened.stream = await backend.stream(opened.rate, $("model").value, (span) => {
      if (mine !== work) return;
      spans.push(span);
      showAnswer(span);
      showTrack();
      tell(`Listening, ${seconds(span.end_s)} s`, true);
    }, async (error) => {
      if (mine !== work) return;
      await stopMicrophone();
      fail(error);
    });
    for (const block of early) stream.send(block);
  } catch (error) {
    await stopMicrophone();
    throw error;
  }
}

function save(text, suffix, kind) {
  const link = element("a");
  link.href = URL.createObjectURL(new Blob([text], { type: kind }));
  link.download = `${name.replace(/\.[^.]*$/, "")}${suffix}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// ---- wiring

const guarded = (act) => () => act().catch(fail);
$("file").addEventListener("change", () => { take($("file").files[0]); $("file").value = ""; });
$("record").addEventListener("click", guarded(record));
$("live").addEventListener("click", guarded(live));
$("model").addEventListener("change", chosen);
$("play").addEventListener("click", () => play(sound.start ?? 0, (sound.start ?? 0) + sound.samples.length / sound.rate, $("play")).catch(fail));
$("csv").addEventListener("click", () => save(csvOf(eventsOf(spans)), ".csv", "text/csv"));
$("audacity").addEventListener("click", () => save(audacityOf(eventsOf(spans)), ".txt", "text/plain"));
$("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  backend.setToken($("token").value);
  $("token-form").hidden = true;
  open().catch(fail);
});
for (const kind of ["dragenter", "dragover"]) document.addEventListener(kind, (event) => { event.preventDefault(); $("drop").classList.add("over"); });
for (const kind of ["dragleave", "drop"]) document.addEventListener(kind, (event) => { event.preventDefault(); $("drop").classList.remove("over"); });
document.addEventListener("drop", (event) => take(event.dataTransfer.files[0]));
addEventListener("resize", () => picture.redraw());

async function open() {
  $("error").textContent = "";
  tell("Opening the model", true);
  const models = await backend.models();
  $("model").replaceChildren(...models.map((model) => new Option(model.name, model.name)));
  $("model-choice").hidden = models.length < 2;
  known = models;
  chosen();
  $("where").textContent = backend.WHERE;
  tell("Ready");
}

function chosen() {
  const first = known.find((model) => model.name === $("model").value) ?? known[0];
  colour(first.labels);
  $("about").textContent = `${first.labels.length} labels, windows of ${first.window_s} s at ${first.sample_rate / 1000} kHz`;
}

document.querySelector("main").classList.add("empty");
const page = (globalThis.soundfold = {}); // what was answered last, for whoever looks at it from a console
open().catch(fail);
