// What the widget's state holds, ready to compute with, and what can be chosen of it.

const written = (ink) => Array.from(ink, (v) => v.toString(36)).join("");
const read = (drawing) => Array.from(drawing, (v) => parseInt(v, 36));

/** The nets, digits and numbers of the state. */
function contents(model) {
  const bytes = (name) => {
    const raw = model.get(name);
    return new Uint8Array(raw.buffer ?? raw, raw.byteOffset ?? 0, raw.byteLength);
  };
  const [mean, std] = [model.get("mean"), model.get("std")];
  const normalised = (ink) => Float64Array.from(ink, (v) => (v / LEVELS - mean) / std);
  const grey = (x) => Array.from(x, (v) => Math.min(1, Math.max(0, v * std + mean)));
  const part = splits(bytes("digits"), model.get("labels"), model.get("parts"));
  const split = (name) => part(name).map(({ ink, y }) => ({ x: normalised(ink), y }));
  const retained = split("retain");
  return {
    nets: networks(bytes("weights"), model.get("layers")),
    samples: part("samples").map(({ ink, y }) => ({ drawing: written(ink), label: y })),
    reach: Math.max(mean, 1 - mean) / std,
    lr: model.get("lr"),
    tested: split("test"),
    ...{ retained, normalised, grey, mean: (label) => meanOf(retained, label) },
  };
}

/** part(name) -> [{ink, y}, ...] of these digits, 64 pixels each. */
const splits = (digits, labels, parts) => (name) => {
  const [start, end] = parts[name];
  const of = (i) => digits.subarray(i * SIDE * SIDE, (i + 1) * SIDE * SIDE);
  return labels.slice(start, end).map((y, i) => ({ ink: of(start + i), y }));
};

/** What anybody has without a leak: the mean of the class, of the digits in this page. */
function meanOf(samples, label) {
  const own = samples.filter(({ y }) => y === label);
  return own[0].x.map((_, i) => own.reduce((sum, { x }) => sum + x[i], 0) / own.length);
}

function networks(raw, shapes) {
  const end = raw.byteOffset + raw.byteLength;
  const weights = new Float32Array(raw.buffer.slice(raw.byteOffset, end));
  let at = 0;
  const take = (count) => Float64Array.from(weights.subarray(at, (at += count)));
  const layer = ([units, inputs]) => ({ weight: take(units * inputs), bias: take(units) });
  return Object.fromEntries(Object.entries(shapes).map(([name, all]) => [name, all.map(layer)]));
}

/** What can be chosen: the values that Python sends, and those of its methods that the page can
 * compute. */
function offered(model, says, nets) {
  const { rate, size, method, defense } = model.get("axes");
  const able = (field, names) =>
    says.choices(
      field,
      names.filter((name) => name in TWIN[field]),
    );
  return {
    ...{ rate, size, strengths: model.get("strengths") },
    model: says.choices("model", Object.keys(nets)),
    method: able("unlearning", method),
    defense: able("defense", defense),
  };
}

/** Bring what came from a link into what there is. */
function sane(state, fresh, offer) {
  if (!/^[0-9a-g]{64}$/.test(state.drawing)) state.drawing = fresh.drawing;
  for (const name of ["model", "method", "defense"])
    state[name] = among(state[name], offer[name], fresh[name]);
  state.label = nearest(state.label, DIGITS);
  state.rate = nearest(state.rate, offer.rate);
  state.size = nearest(state.size, offer.size);
  state.strength = nearest(state.strength, offer.strengths[state.defense]);
}
