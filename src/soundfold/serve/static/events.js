// Windows joined to events, and how they are written.

export const percent = (probability) => `${(100 * probability).toFixed(1)} %`;
export const seconds = (value) => (value >= 60 ? `${Math.floor(value / 60)}:${(value % 60).toFixed(1).padStart(4, "0")}` : value.toFixed(1));

// The same label has the same colour everywhere; steps of the golden angle keep those of any number of labels apart.
const hues = new Map();

export function colour(labels) {
  hues.clear();
  labels.forEach((label, place) => hues.set(label, Math.round((250 + place * 137.508) % 360)));
}

export const hueOf = (label) => hues.get(label.split(", ")[0]) ?? 250;

// Windows side by side (or overlapping) that tell the same become one event; its probability is the windows' mean.
export function eventsOf(spans) {
  const events = [];
  for (const span of spans) {
    const label = span.labels ? span.labels.join(", ") || "none" : span.label;
    const last = events.at(-1);
    if (last && last.label === label && last.nearest === span.nearest && span.start_s <= last.end_s + 1e-6) {
      last.end_s = span.end_s;
      last.sum += span.probability;
      last.windows += 1;
      last.probability = last.sum / last.windows;
    } else {
      if (last && last.end_s > span.start_s) last.end_s = span.start_s;
      events.push({ start_s: span.start_s, end_s: span.end_s, label, nearest: span.nearest, probability: span.probability, sum: span.probability, windows: 1 });
    }
  }
  return events;
}

export function csvOf(events) {
  const cell = (text) => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const rows = events.map((event) => [event.start_s.toFixed(3), event.end_s.toFixed(3), cell(event.label), event.probability.toFixed(4)].join(","));
  return ["start_s,end_s,label,probability", ...rows, ""].join("\n");
}

export const audacityOf = (events) =>
  events.map((event) => `${event.start_s.toFixed(6)}\t${event.end_s.toFixed(6)}\t${event.label.replace(/[\t\n\r]/g, " ")}\n`).join("");
