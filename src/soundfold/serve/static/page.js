// The page: what a person does, and what follows. Where the model runs, ./backend.js alone knows.
import * as backend from "./backend.js";
import { showAnswer } from "./answer.js";
import { decode } from "./decode.js";
import { $, element } from "./elements.js";
import { audacityOf, colour, csvOf, seconds } from "./events.js";
import { LiveTimeline, MOST_LIVE_S } from "./live.js";
import { Microphone, wavOf } from "./microphone.js";
import { Picture } from "./picture.js";
import { Player } from "./player.js";
import { Timeline } from "./timeline.js";

const picture = new Picture($("wave"), $("mel"), $("axis"));
const player = new Player(picture);
const timeline = new Timeline(picture, (start, end, button) => player.play(start, end, button).catch(fail));
let spans = [];
let events = [];
let microphone = null;
let name = "sound";
let known = []; // the models
let given = ""; // the token
let work = 0; // which of the sounds is the newest; answers for older ones are thrown away

// ---- telling

function tell(text, busy = false) {
  $("status").textContent = text;
  $("status").classList.toggle("busy", busy);
}

function fail(error) {
  tell("");
  $("error").textContent = error?.message ?? String(error);
  hideWhatIsEmpty();
  if (error?.status === 401) askForToken();
}

// Without a token nothing can be asked; the server's own sentence speaks of headers, which nobody sends by hand here.
function askForToken() {
  $("error").textContent = given ? "The token is not the server's. Type it again." : "";
  $("token-form").hidden = false;
  offer(false);
}

function offer(is) {
  for (const id of ["file", "record", "live"]) $(id).disabled = !is;
}

function hideWhatIsEmpty() {
  if (player.sound || spans.length) return;
  $("picture").hidden = true;
  document.querySelector("main").classList.add("empty");
}

function begin() {
  player.take(null);
  $("error").textContent = "";
  $("answer").hidden = $("events").hidden = true;
  $("picture").hidden = false;
  document.querySelector("main").classList.remove("empty");
  spans = [];
  events = [];
  $("length").textContent = "";
  timeline.showTrack(spans, events);
  return ++work;
}

function showTimeline() {
  const { sound } = player;
  $("length").textContent = sound ? `${seconds(sound.samples.length / sound.rate)} s` : "";
  timeline.showList(spans, events);
  timeline.showTrack(spans, events);
}

// ---- files and recordings

async function take(file) {
  if (!file || $("file").disabled) return;
  await stopMicrophone();
  const mine = begin();
  name = file.name || "recording";
  tell(`Listening to ${name}`, true);
  try {
    const bytes = await file.arrayBuffer();
    if (!bytes.byteLength) throw new Error(`${name} is empty. Choose another file.`);
    const drawn = decode(bytes.slice(0)).then((heard) => {
      if (mine !== work) return;
      player.take({ samples: heard.channels[0], rate: heard.rate, start: 0 });
      picture.show(heard.channels[0], heard.rate);
    }).catch(() => picture.clear()); // what the browser cannot decode, the server may
    const answer = await backend.predict(file, bytes, $("model").value);
    await drawn;
    if (mine !== work) return;
    spans = answer.timeline ?? [{ ...answer, start_s: 0, end_s: answer.duration_s }];
    events = answer.events;
    if (!player.sound) picture.clear(answer.duration_s);
    showAnswer(answer);
    showTimeline();
    tell(player.sound ? `${name}, heard` : `${name}, heard; this browser cannot play or draw it`);
    $("error").textContent = "";
    page.answer = answer;
  } catch (error) {
    if (mine === work) fail(error);
  }
}

// ---- the microphone

// Returns it when it is on; null where it was stopped meanwhile.
async function openMicrophone(button, word, onBlock) {
  const mine = begin();
  const opened = new Microphone(onBlock);
  microphone = { opened, button, mine };
  const here = microphone;
  tell("Waiting for the microphone", true);
  button.setAttribute("aria-pressed", "true");
  button.querySelector(".word").textContent = word;
  for (const other of [$("record"), $("live")]) other.disabled = other !== button;
  $("meter").hidden = false;
  try {
    return (await opened.start()) ? here : null;
  } catch (error) {
    await stopMicrophone(here);
    if (error.unreachable) throw new Error("The microphone cannot be used, as this page's server does not answer. Is it still running?");
    const why = { NotAllowedError: "may not be used. Allow it in the browser's settings of this page", NotFoundError: "is missing. Plug one in" };
    throw new Error(`The microphone ${why[error.name] ?? `cannot be opened (${error.message})`}.`);
  }
}

// Stops the one that is on, or none where another has taken its place.
async function stopMicrophone(which = microphone) {
  if (!microphone || which !== microphone) return;
  const { opened, button } = microphone;
  microphone = null;
  button.setAttribute("aria-pressed", "false");
  button.querySelector(".word").textContent = button === $("record") ? "Record" : "Listen live";
  $("record").disabled = $("live").disabled = false;
  $("meter").hidden = true;
  await opened.stop(); // last, as whoever clicks meanwhile begins anew
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
    const { opened, mine } = microphone;
    await stopMicrophone();
    const samples = opened.samples();
    if (samples.length) await take(new File([wavOf(samples, opened.rate)], "recording.wav", { type: "audio/wav" }));
    else if (mine === work) fail(new Error("Nothing was recorded. Try again."));
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
    await endLive();
    return;
  }
  name = "live";
  let stream = null;
  const early = [];
  const here = await openMicrophone($("live"), "Stop", (block) => {
    level(block);
    picture.add(block);
    if (stream) stream.send(block);
    else early.push(block);
  });
  if (!here) return;
  const { opened, mine } = here;
  opened.keep(MOST_LIVE_S);
  picture.begin(opened.rate, 10);
  tell("Listening", true);
  const heard = new LiveTimeline(chosen());
  ({ spans } = heard);
  // whoever stops before it is there waits for it, and ends it
  here.stream = Promise.resolve(backend.stream(opened.rate, heard.model, heard.hop_s, (span) => {
    if (mine !== work) return;
    heard.add(span);
    ({ events } = heard);
    showAnswer(span);
    timeline.showTrack(spans, events);
    if (here === microphone) tell(`Listening, ${seconds(span.end_s)} s`, true);
  }, (error) => {
    if (here === microphone) endLive(error).catch(fail);
  })).then((made) => {
    stream = made;
    for (const block of early) stream.send(block);
    return made;
  });
  try {
    await here.stream;
  } catch (error) {
    if (here !== microphone) return; // it has been told
    await stopMicrophone(here);
    throw error;
  }
}

// Shows what was heard live; after a failure, what was heard up to it.
async function endLive(failure = null) {
  const { opened, mine, stream } = microphone;
  tell("Finishing", true);
  await stopMicrophone();
  try {
    if (!failure) await (await stream)?.finish();
  } catch (error) {
    failure = error;
  }
  if (mine !== work) return;
  const samples = opened.samples();
  const start = opened.dropped / opened.rate;
  if (samples.length && spans.length) {
    player.take({ samples, rate: opened.rate, start });
    picture.show(samples, opened.rate, start);
    page.live = { samples, rate: opened.rate, spans, events };
    showTimeline();
  }
  hideWhatIsEmpty();
  tell("Stopped");
  if (failure) fail(failure);
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
$("model").addEventListener("change", showModel);
$("play").addEventListener("click", guarded(() => player.playAll()));
$("csv").addEventListener("click", () => save(csvOf(events), ".csv", "text/csv"));
$("audacity").addEventListener("click", () => save(audacityOf(events), ".txt", "text/plain"));
$("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  given = $("token").value;
  backend.setToken(given);
  $("token-form").hidden = true;
  open().catch(fail);
});
for (const kind of ["dragenter", "dragover"]) document.addEventListener(kind, (event) => { event.preventDefault(); $("drop").classList.add("over"); });
for (const kind of ["dragleave", "drop"]) document.addEventListener(kind, (event) => { event.preventDefault(); $("drop").classList.remove("over"); });
document.addEventListener("drop", (event) => take(event.dataTransfer.files[0]));
addEventListener("resize", () => picture.redraw());

async function open() {
  $("error").textContent = "";
  offer(false);
  tell("Opening the model", true);
  const models = await backend.models();
  $("model").replaceChildren(...models.map((model) => new Option(model.name, model.name)));
  $("model-choice").hidden = models.length < 2;
  known = models;
  showModel();
  $("where").textContent = backend.WHERE;
  offer(true);
  tell("Ready");
}

const chosen = () => known.find((model) => model.name === $("model").value) ?? known[0];

function showModel() {
  const { labels, window_s, sample_rate } = chosen();
  colour(labels);
  $("about").textContent = `${labels.length} labels, windows of ${window_s} s at ${sample_rate / 1000} kHz`;
}

document.querySelector("main").classList.add("empty");
const page = (globalThis.soundfold = {}); // what was answered last, for whoever looks at it from a console
open().catch(fail);
