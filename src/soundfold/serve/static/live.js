// What is told of live sound: its newest windows, and the events that they have been joined into so far.
import { EventJoiner, inOrder } from "./joiner.js";

export const MOST_LIVE_S = 600; // so much of what was heard is kept to be looked at and heard again
const LEAST_HOP_S = 0.25; // there are at most four answers a second

export class LiveTimeline {
  constructor(model) {
    this.model = model;
    const hop = Math.round(Math.max(model.window / 4, LEAST_HOP_S * model.sample_rate));
    this.hop_s = Math.min(model.window, hop) / model.sample_rate;
    this.joiner = new EventJoiner(model);
    this.over = []; // events that are over
    this.events = [];
    this.spans = [];
  }

  // Takes the next window's answer.
  add(span) {
    const [start, stop] = [span.start_s, span.end_s].map((time_s) => Math.round(time_s * this.model.sample_rate));
    const row = this.model.labels.map((label) => span.probabilities[label]);
    this.over.push(...this.joiner.add(start, stop, row, span.silent));
    this.events = [...this.over, ...this.joiner.underWay()].sort(inOrder);
    this.spans.push(span);
    while (this.spans[0].end_s < span.end_s - MOST_LIVE_S) this.spans.shift();
  }
}
