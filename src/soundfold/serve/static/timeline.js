// The timeline: a ribbon of what each window told, and the events that the windows were joined into.
import { $, element } from "./elements.js";
import { hueOf, percent, seconds } from "./events.js";
import { isUnknown } from "./answer.js";

const MOST_LANES = 6; // events at the same time; more of them stand in the list alone
const LANE_PX = 32;
const ONLY_LANE_PX = 44;

export class Timeline {
  // `play` gets where an event begins and ends, and the button that shows it.
  constructor(picture, play) {
    this.picture = picture;
    this.play = play;
  }

  // Shows what lies within the picture.
  showTrack(spans, events) {
    const { start, duration } = this.picture;
    const inside = ({ start_s, end_s }) => end_s > start && start_s < start + (duration || 1);
    $("track").hidden = !spans.length;
    $("ribbon").replaceChildren(...cellsOf(spans).filter(inside).map((cell) => this.placed(this.cell(cell), cell)));
    const lanes = lanesOf(events.filter(inside));
    const height = lanes.length > 1 ? LANE_PX : ONLY_LANE_PX;
    $("lanes").style.height = `${Math.max(1, lanes.length) * (height + 2)}px`;
    $("lanes").replaceChildren(...lanes.flatMap((lane, number) => lane.map((event) => {
      const button = this.placed(this.button(event, event.label), event);
      button.style.top = `${number * (height + 2)}px`;
      button.style.height = `${height}px`;
      button.tabIndex = -1; // the list below has the same ones, in order, for the keyboard
      button.setAttribute("aria-hidden", "true");
      return button;
    })));
  }

  showList(spans, events) {
    $("events").hidden = false;
    $("count").textContent = events.length || "";
    $("quiet").hidden = events.length > 0;
    $("why").textContent = spans.every(isUnknown) ? "all of it is unknown to this model" : "no label was likely enough for long enough";
    $("csv").disabled = $("audacity").disabled = !events.length;
    $("list").replaceChildren(...events.map((event) => {
      const item = element("li");
      const button = this.button(event);
      button.append(element("span", "swatch"), element("span", "soft", `${seconds(event.start_s)} – ${seconds(event.end_s)}`),
        element("span", "", event.label), element("b", "", percent(event.probability)));
      item.append(button);
      return item;
    }));
    $("list").scrollTop = 0;
  }

  placed(shown, { start_s, end_s }) {
    const total = this.picture.duration || 1;
    const from = Math.max(start_s, this.picture.start);
    shown.style.left = `${(100 * (from - this.picture.start)) / total}%`;
    shown.style.width = `calc(${(100 * (Math.min(end_s, this.picture.start + total) - from)) / total}% - 2px)`;
    return shown;
  }

  cell({ start_s, end_s, told, label, probability }) {
    const cell = element("i", label === null ? "unknown" : "");
    if (label !== null) cell.style.setProperty("--hue", hueOf(label));
    cell.style.opacity = 0.2 + 0.8 * probability;
    cell.title = `${seconds(start_s)} – ${seconds(end_s)}: ${told} ${percent(probability)}`;
    cell.addEventListener("click", () => this.play(start_s, end_s, cell));
    return cell;
  }

  button(event, text = "") {
    const button = element("button", "", text);
    button.type = "button";
    button.style.setProperty("--hue", hueOf(event.label));
    button.setAttribute("aria-label", `Play ${event.label}, ${seconds(event.start_s)} to ${seconds(event.end_s)} seconds, ${percent(event.probability)}`);
    button.title = `${event.label} ${percent(event.probability)}`;
    button.addEventListener("click", () => this.play(event.start_s, event.end_s, button));
    return button;
  }
}

// Overlapping windows: each has the stretch up to where the next one begins, the last all of its own.
function cellsOf(spans) {
  return spans.map((span, place) => {
    const told = span.labels ? span.labels.join(", ") || "none of the labels" : isUnknown(span) ? `unknown, nearest ${span.nearest}` : span.label;
    const label = span.labels ? (span.labels[0] ?? null) : isUnknown(span) ? null : span.label;
    return { start_s: span.start_s, end_s: spans[place + 1]?.start_s ?? span.end_s, told, label, probability: span.probability };
  });
}

// Events in as few lanes as they need to overlap in none.
function lanesOf(events) {
  const lanes = [];
  for (const event of events) {
    const lane = lanes.find((one) => one.at(-1).end_s <= event.start_s + 1e-6);
    if (lane) lane.push(event);
    else if (lanes.length < MOST_LANES) lanes.push([event]);
  }
  return lanes;
}
