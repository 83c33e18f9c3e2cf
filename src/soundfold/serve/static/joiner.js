// Windows joined into events, by the rule of soundfold's own runtime (runtime/events.py, which tells the why).
import { refuses, thresholdOf } from "./verdict.js";

// Takes windows in the order in which they begin; holds no more than those that cover one moment.
export class EventJoiner {
  constructor(card) {
    this.card = card;
    this.thresholds = card.labels.map((label) => thresholdOf(card, label, 0.5));
    this.covering = []; // {stop, row}
    this.at = 0;
    this.open = card.labels.map(() => null); // the event under way of each class
  }

  // Takes a window from a sample to another, its probabilities in the labels' order, and whether it is silent; returns
  // the events that are over.
  add(start, stop, row, silent) {
    const over = this.moveTo(start);
    const unknown = silent || (this.card.answer === "one" && refuses(this.card.rejection, row));
    this.covering.push({ stop, row: unknown ? row.map(() => 0) : row });
    return over;
  }

  // Returns the events that are under way where the sound ends; nothing can be added after it.
  finish() {
    const over = this.moveTo(this.covering.reduce((last, { stop }) => Math.max(last, stop), this.at));
    return [...over, ...this.close(() => true)];
  }

  // Returns what `finish` would, and goes on.
  underWay() {
    const copy = Object.assign(Object.create(EventJoiner.prototype), this);
    copy.covering = [...this.covering];
    copy.open = this.open.map((event) => event && { ...event });
    return copy.finish();
  }

  // Goes through the moments before a sample; all windows that cover them are known.
  moveTo(start) {
    const over = [];
    const stops = this.covering.map(({ stop }) => stop).filter((stop) => this.at < stop && stop < start);
    for (const border of [...new Set(stops)].sort((a, b) => a - b).concat(start)) {
      if (border <= this.at) continue;
      const rows = this.covering.filter(({ stop }) => stop > this.at).map(({ row }) => row);
      const mean = this.open.map((_, k) => (rows.length ? rows.reduce((sum, row) => sum + row[k], 0) / rows.length : 0));
      over.push(...this.take(this.at, border, mean));
      this.at = border;
    }
    while (this.covering.length && this.covering[0].stop <= start) this.covering.shift();
    return over;
  }

  // Takes moments with the same probabilities.
  take(start, stop, mean) {
    const best = mean.indexOf(Math.max(...mean));
    const heard = mean.map((probability, k) => probability >= this.thresholds[k] && (this.card.answer !== "one" || k === best));
    const over = this.close((k) => !heard[k]);
    mean.forEach((probability, k) => {
      if (!heard[k]) return;
      const event = (this.open[k] ??= { start, sum: 0, peak: 0 });
      event.stop = stop;
      event.sum += probability * (stop - start);
      event.peak = Math.max(event.peak, probability);
    });
    return over;
  }

  close(which) {
    const over = [];
    this.open.forEach((event, k) => {
      if (!event || !which(k)) return;
      const { start, stop, sum, peak } = event;
      const rate = this.card.sample_rate;
      const probability = Math.min(sum / (stop - start), 1);
      over.push({ start_s: start / rate, end_s: stop / rate, label: this.card.labels[k], probability, peak });
      this.open[k] = null;
    });
    return over.sort(inOrder);
  }
}

export const inOrder = (a, b) => a.start_s - b.start_s || a.end_s - b.end_s || b.probability - a.probability;
