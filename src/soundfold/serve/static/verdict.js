// From probabilities to what is told, as soundfold's runtime judges them.

const LEAST = 1e-7; // of a probability in a logarithm
const SILENT_PEAK = 2 ** -16; // half a step of 16 bits

// What is told of a row of probabilities: the likeliest label, all above their thresholds, or "unknown"; of silence nothing.
export function verdict(card, row, silent) {
  const best = row.indexOf(Math.max(...row));
  const label = card.labels[best];
  const probability = row[best];
  const several = card.answer === "several";
  if (silent) return { label: "unknown", probability, nearest: label, ...(several && { labels: [] }) };
  if (several) {
    const told = card.labels.filter((name, place) => row[place] > thresholdOf(card, name, 0.5));
    told.sort((a, b) => row[card.labels.indexOf(b)] - row[card.labels.indexOf(a)]);
    return { label, probability, labels: told };
  }
  return ofOne(card, row, refuses(card.rejection, row));
}

function ofOne(card, row, refused) {
  const probability = Math.max(...row);
  const label = card.labels[row.indexOf(probability)];
  const unknown = refused || probability < thresholdOf(card, label, 0);
  return unknown ? { label: "unknown", probability, nearest: label } : { label, probability };
}

// The probability from which a label is told. A label may be called like something that every object has.
export const thresholdOf = (card, label, otherwise) => (Object.hasOwn(card.thresholds, label) ? card.thresholds[label] : otherwise);

// What is told of a whole sound by its windows' mean: nothing if none of them is known. Rules of earlier files judge the mean too.
export function soundVerdict(card, mean, spans) {
  const silent = spans.every((span) => span.silent);
  if (silent || card.answer === "several") return verdict(card, mean, silent);
  const refused = !card.rejection?.by_window && refuses(card.rejection, mean);
  return ofOne(card, mean, refused || spans.every((span) => span.nearest !== undefined));
}

// Whether a window holds nothing to hear (runtime/silence.py).
export function isSilent(card, channels) {
  if (!card.silence_is_unknown) return false;
  return channels.every((samples) => samples.every((sample) => Math.abs(sample) <= SILENT_PEAK));
}

// The rule for unknown sounds, where the model was given one.
export function refuses(rule, row) {
  if (!rule) return false;
  const logits = row.map((probability) => Math.log(Math.max(probability, LEAST)));
  const mean = logits.reduce((sum, logit) => sum + logit, 0) / logits.length;
  const z = logits.map((logit, place) => (logit - mean - rule.centre[place]) / rule.spread[place]);
  let score = z.reduce((sum, each, place) => sum + each * rule.linear[place] + each * each * rule.square[place], 0);
  let pair = 0; // rules of earlier files have no products
  for (let first = 0; first < z.length && rule.product?.length; first++) {
    for (let second = first + 1; second < z.length; second++) score += z[first] * z[second] * rule.product[pair++];
  }
  return score < rule.threshold;
}
