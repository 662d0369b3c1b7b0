// A small network in plain numbers: gradient, training, unlearning, defenses, and the closed-form
// attack; the same formulas as in the library. A net is a list of layers {weight (units x inputs,
// row by row), bias}, ReLU between. TWIN is the one table of methods by Python's names: what is not
// in it cannot be chosen here.

/** What every layer gives, the inputs first and the logits last. */
function forward(net, x) {
  const given = [x];
  net.forEach(({ weight, bias }, l) => {
    const from = given[l];
    const out = new Float64Array(bias.length);
    for (let i = 0; i < out.length; i++) {
      let sum = bias[i];
      for (let j = 0, k = i * from.length; j < from.length; j++, k++) sum += weight[k] * from[j];
      out[i] = l < net.length - 1 && sum < 0 ? 0 : sum;
    }
    given.push(out);
  });
  return given;
}

function softmax(z) {
  const top = Math.max(...z);
  const powers = z.map((v) => Math.exp(v - top));
  const total = powers.reduce((a, b) => a + b);
  return powers.map((v) => v / total);
}

const like = (net) =>
  net.map((layer) => ({
    weight: new Float64Array(layer.weight.length),
    bias: new Float64Array(layer.bias.length),
  }));

/** The gradient of the mean cross-entropy; samples: [{x, y}, ...]. */
function gradient(net, samples) {
  const slopes = like(net);
  for (const { x, y } of samples) {
    const given = forward(net, x);
    let error = softmax(given.at(-1)).map((p, i) => (p - (i === y)) / samples.length);
    for (let l = net.length - 1; l >= 0; l--) {
      const from = given[l];
      const back = new Float64Array(from.length);
      for (let i = 0; i < error.length; i++) {
        const e = error[i];
        if (e === 0) continue;
        slopes[l].bias[i] += e;
        for (let j = 0, k = i * from.length; j < from.length; j++, k++) {
          slopes[l].weight[k] += e * from[j];
          back[j] += e * net[l].weight[k];
        }
      }
      error = back.map((v, j) => (from[j] > 0 ? v : 0));
    }
  }
  return slopes;
}

/** first + factor · second, parameter by parameter. */
const add = (first, second, factor) =>
  first.map((layer, l) => ({
    weight: layer.weight.map((v, i) => v + factor * second[l].weight[i]),
    bias: layer.bias.map((v, i) => v + factor * second[l].bias[i]),
  }));

function fineTune(net, samples, { lr, epochs = 1 }) {
  for (let i = 0; i < epochs && samples.length; i++) net = add(net, gradient(net, samples), -lr);
  return net;
}

/** Standard normal numbers from a seed (mulberry32 and Box-Muller). */
function normal(seed) {
  let a = seed >>> 0;
  const uniform = () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}

function norm(net) {
  const squares = (values) => values.reduce((sum, v) => sum + v * v, 0);
  return Math.sqrt(net.reduce((sum, { weight, bias }) => sum + squares(weight) + squares(bias), 0));
}

/** after + noise whose norm is `strength` times that of the update. */
function noisy({ before, after, strength, seed }) {
  const next = normal(seed);
  const noise = like(after).map(({ weight, bias }) => ({
    weight: weight.map(next),
    bias: bias.map(next),
  }));
  return add(after, noise, (strength * norm(add(after, before, -1))) / norm(noise));
}

/** The share `strength` of the weights, smallest first over all layers, becomes zero. */
function sparse({ after, strength }) {
  const all = after.flatMap(({ weight }) => Array.from(weight, Math.abs));
  const sizes = Float64Array.from(all).sort();
  const threshold = sizes[Math.floor(strength * sizes.length) - 1] ?? -1;
  return after.map(({ weight, bias }) => ({
    weight: weight.map((v) => (Math.abs(v) > threshold ? v : 0)),
    bias,
  }));
}

/** A weight that is exactly zero was cut, and is filled in from those that remain: unit i moved its
 * bias by e_i, the others by e_i x. */
const filled = (before, released) =>
  released.map(({ weight, bias }, l) => {
    const old = before[l];
    const errors = bias.map((v, i) => v - old.bias[i]);
    const width = weight.length / bias.length;
    const x = Array.from({ length: width }, (_, j) => {
      let [moved, size] = [0, 0];
      for (let i = 0, k = j; i < bias.length; i++, k += width) {
        if (weight[k] === 0) continue;
        moved += errors[i] * (weight[k] - old.weight[k]);
        size += errors[i] ** 2;
      }
      return size ? moved / size : 0;
    });
    const completed = (k) => old.weight[k] + errors[Math.floor(k / width)] * x[k % width];
    return { weight: weight.map((v, k) => (v === 0 ? completed(k) : v)), bias };
  });

/** By the library's names: unlearning methods, defenses, what an attacker sees who knows of a
 * defense, and laws of the similarity of what is recovered, where they are known. */
const TWIN = {
  unlearning: {
    retrain: ({ pretrained, retain, lr }) => fineTune(pretrained, retain, { lr }),
    gradient_ascent: ({ before, forget, rate }) => add(before, gradient(before, forget), rate),
  },
  defense: {
    none: ({ after }) => after,
    obfuscation: noisy,
    pruning: sparse,
    fine_tuning: ({ after, retain, lr, strength }) =>
      fineTune(after, retain, { lr, epochs: strength }),
  },
  adaptive: { pruning: filled },
  laws: [
    {
      for: { model: "linear", method: "gradient_ascent", defense: "obfuscation" },
      similarity: (strength, classes) => 1 / Math.sqrt(1 + strength ** 2 / classes),
    },
  ],
};

/** What theory says of these settings; null where it is not known. */
function theory(state, classes) {
  const fits = (law) => Object.entries(law.for).every(([name, value]) => state[name] === value);
  return TWIN.laws.find(fits)?.similarity(state.strength, classes) ?? null;
}

/** The best matrix of rank one: of rows that are multiples of (x, 1), the x; and the label from the
 * last bias. reach: how far a normalised input lies from 0 at most. */
function recover(update, reach) {
  const { weight, bias } = update[0];
  const units = bias.length;
  const width = weight.length / units + 1;
  const at = (i, j) => (j === width - 1 ? bias[i] : weight[i * (width - 1) + j]);
  const gram = Array.from({ length: units }, (_, a) =>
    Array.from({ length: units }, (_, b) => {
      let sum = 0;
      for (let j = 0; j < width; j++) sum += at(a, j) * at(b, j);
      return sum;
    }),
  );
  let u = Array.from(bias);
  for (let round = 0; round < 300; round++) {
    const next = gram.map((row) => row.reduce((sum, v, i) => sum + v * u[i], 0));
    const length = Math.hypot(...next) || 1;
    const moved = Math.max(...next.map((v, i) => Math.abs(v / length - u[i])));
    u = next.map((v) => v / length);
    if (moved < 1e-14) break;
  }
  const strongest = Array.from({ length: width }, (_, j) =>
    u.reduce((sum, v, i) => sum + v * at(i, j), 0),
  );
  const one = strongest.pop();
  const least = quantile(strongest.map(Math.abs), 0.95) / reach;
  const last = update.at(-1).bias;
  return {
    x: strongest.map((v) => (Math.sign(one) * v) / Math.max(Math.abs(one), least)),
    label: last.indexOf(Math.min(...last)),
  };
}

function quantile(values, share) {
  const sorted = values.sort((a, b) => a - b);
  const at = share * (sorted.length - 1);
  const low = Math.floor(at);
  return sorted[low] + (at - low) * ((sorted[low + 1] ?? sorted[low]) - sorted[low]);
}

function classify(net, x) {
  const z = forward(net, x).at(-1);
  return z.indexOf(Math.max(...z));
}

const accuracy = (net, samples) =>
  samples.filter(({ x, y }) => classify(net, x) === y).length / samples.length;

function cosine(a, b) {
  let [ab, aa, bb] = [0, 0, 0];
  a.forEach((v, i) => ((ab += v * b[i]), (aa += v * v), (bb += b[i] * b[i])));
  return ab / Math.sqrt(aa * bb);
}

/** The unit of the first layer whose bias moved most: its weights before, after, and the change. */
function mostMoved([before], [after]) {
  const moved = after.bias.map((v, i) => v - before.bias[i]);
  const unit = moved.reduce((best, v, i) => (Math.abs(v) > Math.abs(moved[best]) ? i : best), 0);
  const width = before.weight.length / before.bias.length;
  const [old, now] = [before, after].map((l) => l.weight.slice(unit * width, (unit + 1) * width));
  return {
    unit,
    before: old,
    after: now,
    change: now.map((v, j) => v - old[j]),
    bias: moved[unit],
  };
}

/** Learn all samples, forget one, defend, and attack what is released; knows: whether the attacker
 * knows of the defense. */
function leak({ pretrained, forget, retain, test, method, rate, lr, reach, ...guard }) {
  const { defense, strength, seed, knows } = guard;
  const before = fineTune(pretrained, [forget, ...retain], { lr });
  const unlearn = TWIN.unlearning[method];
  const after = unlearn({ pretrained, before, forget: [forget], retain, rate, lr });
  const released = TWIN.defense[defense]({ before, after, retain, strength, seed, lr });
  const undone = knows && TWIN.adaptive[defense];
  const seen = undone ? undone(before, released) : released;
  const found = recover(add(seen, before, -1), reach);
  return {
    ...found,
    similarity: cosine(found.x, forget.x),
    row: mostMoved(before, seen),
    before: accuracy(before, test),
    after: accuracy(released, test),
  };
}
