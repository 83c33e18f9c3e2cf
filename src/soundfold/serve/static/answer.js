// What is told of a sound, or of the newest window: its label in words, and the likeliest ones as bars.
import { $, element } from "./elements.js";
import { hueOf, percent } from "./events.js";

const SHOWN = 5;

export const isUnknown = (answer) => answer.nearest !== undefined && answer.nearest !== null;

export function showAnswer(answer) {
  $("answer").hidden = false;
  $("heading").textContent = answer.labels ? "Heard" : "Most likely";
  const label = answer.labels ? answer.labels.join(", ") || "none of the labels" : answer.label;
  if ($("label").textContent !== label) $("label").textContent = label; // else a screen reader would say it again
  $("nearest").hidden = !isUnknown(answer);
  if (isUnknown(answer)) $("nearest").textContent = `None of its classes, as far as this model can tell; the nearest is ${answer.nearest}`;
  const rows = Object.entries(answer.probabilities).sort((a, b) => b[1] - a[1]).slice(0, SHOWN);
  $("bars").replaceChildren(...rows.map(([name, probability]) => barOf(name, probability)));
}

function barOf(label, probability) {
  const row = element("li");
  row.style.setProperty("--hue", hueOf(label));
  const bar = element("div", "bar");
  bar.append(element("div"));
  bar.firstChild.style.width = percent(probability).replace(" ", "");
  row.append(element("span", "", label), element("b", "", percent(probability)), bar);
  return row;
}
