// How events are written, and coloured.

export const percent = (probability) => `${(100 * probability).toFixed(1)} %`;
export const seconds = (value) => (value >= 60 ? `${Math.floor(value / 60)}:${(value % 60).toFixed(1).padStart(4, "0")}` : value.toFixed(1));

// The same label has the same colour everywhere; steps of the golden angle keep those of any number of labels apart.
const hues = new Map();

export function colour(labels) {
  hues.clear();
  labels.forEach((label, place) => hues.set(label, Math.round((250 + place * 137.508) % 360)));
}

export const hueOf = (label) => hues.get(label) ?? 250;

export function csvOf(events) {
  const cell = (text) => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const rows = events.map((event) => [event.start_s.toFixed(3), event.end_s.toFixed(3), cell(event.label), event.probability.toFixed(4)].join(","));
  return ["start_s,end_s,label,probability", ...rows, ""].join("\n");
}

export const audacityOf = (events) =>
  events.map((event) => `${event.start_s.toFixed(6)}\t${event.end_s.toFixed(6)}\t${event.label.replace(/[\t\n\r]/g, " ")}\n`).join("");
