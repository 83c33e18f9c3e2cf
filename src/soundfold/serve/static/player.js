// Plays parts of a sound, with a cursor in its picture.
import { playable } from "./decode.js";
import { $ } from "./elements.js";
import { resample } from "./resample.js";

export class Player {
  constructor(picture) {
    this.picture = picture;
    this.sound = null; // {samples, rate, start}; start is where the samples begin in what was heard
    this.playing = null;
  }

  // Another sound, or none.
  take(sound) {
    this.stop();
    this.sound = sound;
    $("play").disabled = !sound;
  }

  stop() {
    if (!this.playing) return;
    const { source, button } = this.playing;
    this.playing = null;
    source.onended = null;
    source.stop();
    button.classList.remove("playing");
    if (button === $("play")) $("play").textContent = "Play all";
    $("cursor").hidden = true;
  }

  playAll() {
    const { samples, rate, start } = this.sound;
    return this.play(start, start + samples.length / rate, $("play"));
  }

  // Plays from a second to another; the button that asked shows it, and stops it when it asks again.
  async play(start, end, button) {
    if (!this.sound) return;
    const again = this.playing?.button === button;
    this.stop();
    if (again) return;
    const { samples: own, rate: ownRate, start: offset } = this.sound;
    const rate = playable(ownRate);
    const samples = resample(own, ownRate, rate);
    this.context ??= new AudioContext();
    const { context } = this;
    await context.resume();
    const buffer = context.createBuffer(1, samples.length, rate);
    buffer.copyToChannel(samples, 0);
    const source = context.createBufferSource();
    source.buffer = buffer;
    source.connect(context.destination);
    source.onended = () => this.stop();
    const from = Math.max(start, offset);
    source.start(0, from - offset, end - from);
    button.classList.add("playing");
    if (button === $("play")) $("play").textContent = "Stop";
    this.playing = { source, button };
    this.follow(source, from, context.currentTime);
  }

  follow(source, from, began) {
    if (this.playing?.source !== source) return;
    const place = (from + this.context.currentTime - began - this.picture.start) / this.picture.duration;
    $("cursor").hidden = false;
    $("cursor").style.left = `${100 * Math.min(1, Math.max(0, place))}%`;
    requestAnimationFrame(() => this.follow(source, from, began));
  }
}
