// Draw, forget, leak: everything is computed here, from the weights and digits in the state.

const MODELS = [["linear", "softmax regression"], ["mlp", "one hidden layer"]];
const RATES = [1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1];
const SIZES = [1, 2, 4, 8, 16, 32, 64, 128];
const STRENGTHS = {
  none: [0],
  obfuscation: [0.1, 0.3, 0.5, 1, 2, 3, 5, 10],
  pruning: [0.1, 0.2, 0.3, 0.5, 0.7, 0.9],
  fine_tuning: [1, 2, 3, 5, 10],
};

const written = (ink) => Array.from(ink, (v) => v.toString(36)).join("");
const read = (drawing) => Array.from(drawing, (v) => parseInt(v, 36));

/** What the widget's state holds, ready to compute with. */
function contents(model) {
  const bytes = (name) => {
    const raw = model.get(name);
    return new Uint8Array(raw.buffer ?? raw, raw.byteOffset ?? 0, raw.byteLength);
  };
  const [mean, std] = [model.get("mean"), model.get("std")];
  const normalised = (ink) => Float64Array.from(ink, (v) => (v / LEVELS - mean) / std);
  const grey = (x) => Array.from(x, (v) => Math.min(1, Math.max(0, v * std + mean)));
  const [digits, labels, parts] = [bytes("digits"), model.get("labels"), model.get("parts")];
  const part = (name) => {
    const [start, end] = parts[name];
    const of = (i) => digits.subarray(i * SIDE * SIDE, (i + 1) * SIDE * SIDE);
    return labels.slice(start, end).map((y, i) => ({ ink: of(start + i), y }));
  };
  const split = (name) => part(name).map(({ ink, y }) => ({ x: normalised(ink), y }));
  const retained = split("retain");
  return {
    nets: networks(bytes("weights"), model.get("layers")),
    samples: part("samples").map(({ ink, y }) => ({ drawing: written(ink), label: y })),
    reach: Math.max(mean, 1 - mean) / std,
    lr: model.get("lr"),
    tested: split("test"),
    ...{ retained, normalised, grey },
    /** What anybody has without a leak: the mean of the class, of the digits in this page. */
    mean: (label) => {
      const own = retained.filter(({ y }) => y === label);
      return own[0].x.map((_, i) => own.reduce((sum, { x }) => sum + x[i], 0) / own.length);
    },
  };
}

function networks(raw, shapes) {
  const end = raw.byteOffset + raw.byteLength;
  const weights = new Float32Array(raw.buffer.slice(raw.byteOffset, end));
  let at = 0;
  const take = (count) => Float64Array.from(weights.subarray(at, (at += count)));
  const layer = ([units, inputs]) => ({ weight: take(units * inputs), bias: take(units) });
  return Object.fromEntries(Object.entries(shapes).map(([name, all]) => [name, all.map(layer)]));
}

/** The controls of the model, of unlearning and of the defense. */
function knobs(pick) {
  let unit = "";
  const kind = choice("Model", MODELS, pick("model"));
  const method = choice("Unlearning", METHODS, pick("method"));
  const rate = slider("Unlearning rate", signs, pick("rate"));
  const size = slider("Private samples, yours among them", String, pick("size"));
  const defense = choice("Defense", KINDS, pick("defense"));
  const strength = slider("Strength", (v) => `${v} ${unit}`.replace(/^1 epochs/, "1 epoch"), pick("strength"));
  const knows = flip("The attacker knows of the defense", pick("knows"));
  const note = h("p", { class: "uninv-note" });
  const all = [kind, method, rate, size, defense, strength, knows].map(({ root }) => root);
  const set = (state) => {
    unit = UNITS[state.defense];
    kind.set(state.model);
    method.set(state.method);
    rate.set(state.rate, RATES, state.method === "gradient_ascent");
    size.set(state.size, SIZES);
    defense.set(state.defense);
    const strengths = STRENGTHS[state.defense];
    strength.set(state.strength, strengths, state.defense !== "none");
    knows.set(state.knows);
    knows.root.control.disabled = !(state.defense in ADAPTIVE);
    note.textContent = attacker(state);
  };
  return { root: h("div", { class: "uninv-knobs" }, ...all, note), set };
}

/** The same settings, run by the library where a kernel answers. */
function library(model, chosen) {
  const said = h("p", { class: "uninv-note", role: "status" });
  const compare = h("button", { type: "button", hidden: true }, "The same in the library");
  const live = kernel(model, {
    ready: () => (compare.hidden = false),
    finished({ metrics: m }) {
      const knowing = chosen().knows && "gain_adaptive" in m ? "_adaptive" : "";
      const found = quality(m[`gain${knowing}`], m[`psnr${knowing}`]);
      const label = m[`label_accuracy${knowing}`] ? "right" : "wrong";
      said.textContent =
        `The library, on a private digit: ${found}, label ${label}, test accuracy ` +
        `${percent(m.test_accuracy_before)} before, ${percent(m.test_accuracy_released)} after.`;
    },
  });
  const forget = () => {
    said.textContent = "";
    live.forget();
  };
  compare.addEventListener("click", () => {
    forget();
    const { model: name, method, rate, size, defense, strength } = chosen();
    const spec = { unlearning: method, unlearning_rate: rate, private_size: size };
    live.run({ model: name, ...spec, defense, strength });
  });
  return { compare, forget, parts: [live.root, said] };
}

/** The buttons under the pad. */
function actions(samples, fresh, change, forgetRun) {
  const button = (text, onclick, kind = "") =>
    h("button", { type: "button", class: kind, onclick }, text);
  const forget = button("Forget it", () => change({ forgotten: true }), "uninv-main");
  const another = button("Another sample", () => {
    change(({ drawing }) => {
      const next = 1 + samples.findIndex((sample) => sample.drawing === drawing);
      return { ...samples[next % samples.length], corrected: false, forgotten: false };
    });
  });
  const blank = { drawing: "0".repeat(SIDE * SIDE), corrected: false, forgotten: false };
  const clear = button("Clear", () => change(blank));
  const reset = button("Reset all", () => {
    forgetRun();
    change(fresh);
  });
  return { forget, blank, all: [forget, another, clear, reset] };
}

/** Bring what came from a link into what there is. */
function sane(state, fresh) {
  if (!/^[0-9a-g]{64}$/.test(state.drawing)) state.drawing = fresh.drawing;
  for (const [name, words] of [["model", MODELS], ["method", METHODS], ["defense", KINDS]]) {
    if (!words.some(([word]) => word === state[name])) state[name] = fresh[name];
  }
  state.label = nearest(state.label, Array.from({ length: 10 }, (_, i) => i));
  state.rate = nearest(state.rate, RATES);
  state.size = nearest(state.size, SIZES);
  state.strength = nearest(state.strength, STRENGTHS[state.defense]);
}

function render({ model, el }) {
  const held = contents(model);
  const { samples, nets, normalised } = held;
  const settings = { model: "linear", method: "gradient_ascent", rate: 1e-3, size: 32 };
  const defended = { defense: "none", strength: 0, seed: 1, knows: true };
  const fresh = { ...samples[0], corrected: false, forgotten: false, ...settings, ...defended };
  const ink = new Uint8Array(SIDE * SIDE);
  const sampled = () => samples.some(({ drawing }) => drawing === chosen.state.drawing);
  const change = (patch) => chosen.change(patch instanceof Function ? patch(chosen.state) : patch);
  const pick = (name) => (value) => {
    run.forget();
    change({ [name]: value });
  };

  const [paper, found] = [picture("your drawing"), picture("what forgetting it leaks")];
  const digits = Array.from({ length: 10 }, (_, i) => [i, String(i)]);
  const label = choice("This is a", digits, (value) => change({ label: value, corrected: true }));
  const [verdict, guessed, where] = ["verdict", "note", "note"].map((kind) =>
    h("p", { class: `uninv-${kind}`, role: "status" }),
  );
  const controls = knobs(pick);
  const numbers = h("dl", { class: "uninv-numbers" });
  const scale = h("p", { class: "uninv-note" });
  const reasons = why();
  const run = library(model, () => chosen.state);
  const buttons = actions(samples, fresh, change, run.forget);
  const board = pad(paper.canvas, ink, {
    begin() {
      if (!sampled()) return;
      ink.fill(0);
      Object.assign(chosen.state, buttons.blank);
    },
    drawn() {
      const { corrected, model: name } = chosen.state;
      const guess = corrected ? {} : { label: classify(nets[name], normalised(ink)) };
      change({ drawing: written(ink), forgotten: false, ...guess });
    },
    moved: () => chosen.repaint(),
  });

  const origin = (state, empty) => {
    if (empty) return "The page will guess what you draw.";
    if (sampled()) return "A sample of the data set. Your first stroke clears the pad.";
    if (state.corrected) return `You say that it is ${named(state.label)}.`;
    return `The page guesses ${named(state.label)}: correct it if it is wrong.`;
  };
  const attack = (state) => {
    const { retained, tested: test, reach, lr } = held;
    const given = { pretrained: nets[state.model], test, reach, lr };
    const forget = { x: normalised(ink), y: state.label };
    return leak({ ...state, ...given, forget, retain: retained.slice(0, state.size - 1) });
  };
  const report = (state) => {
    const started = performance.now();
    const result = (root.result = attack(state));
    const milliseconds = performance.now() - started;
    const mean = cosine(held.mean(state.label), normalised(ink));
    const like = result.similarity.toFixed(3);
    paint(found.canvas, held.grey(result.x));
    found.canvas.setAttribute("aria-label", `the recovered drawing, similarity ${like}`);
    verdict.textContent = verdictOn(result, state.label, mean);
    const law = theory(state);
    const rows = [
      ["similarity to your drawing", like],
      [`of the mean of other ${state.label}s, no leak`, mean.toFixed(3)],
      ...(law === null ? [] : [["theory, for this obfuscation", law.toFixed(3)]]),
      ["test accuracy before", percent(result.before)],
      ["test accuracy after", percent(result.after)],
      ["computed in", `${milliseconds.toFixed(0)} ms`],
    ];
    numbers.replaceChildren(...rows.flatMap(([k, v]) => [h("dt", {}, k), h("dd", {}, v)]));
    scale.textContent = thresholds(state.label);
    const { row } = result;
    const unit = state.model === "linear" ? `class ${row.unit}` : `hidden unit ${row.unit + 1}`;
    reasons.show({ row, unit, grey: held.grey, tail: mixedIn(state) });
  };
  const repaint = (state) => {
    sane(state, fresh);
    ink.set(read(state.drawing));
    const empty = !ink.some((v) => v);
    where.textContent = board.show();
    label.set(empty && !state.corrected ? null : state.label);
    guessed.textContent = origin(state, empty);
    controls.set(state);
    buttons.forget.disabled = empty || state.forgotten;
    const told = state.forgotten && !empty;
    for (const part of [reasons.root, numbers, scale]) part.hidden = !told;
    if (told) return report(state);
    paint(found.canvas, new Float64Array(SIDE * SIDE));
    found.canvas.setAttribute("aria-label", "nothing has been forgotten yet");
    verdict.textContent = empty
      ? "Draw a digit, or take a sample."
      : "The model has learned it. Now ask to be forgotten.";
  };

  const div = (kind, ...parts) => h("div", { class: `uninv-${kind}` }, ...parts);
  const root = h("section", { class: "uninv uninv-draw", "aria-label": "Draw, forget, leak" });
  root.engine = { ...held, gradient, leak };
  const chosen = selection(model, "draw", root, fresh, repaint);
  root.append(
    h("p", { class: "uninv-title" }, "Draw, forget, leak"),
    h(
      "p",
      { class: "uninv-lead" },
      "Draw a digit: a model learns it among others. Then have it forgotten, and see what the " +
        "difference of the two models tells.",
    ),
    div(
      "columns uninv-bench",
      div("stage", div("pictures", paper.root, found.root), verdict),
      div("yours", label.root, guessed, div("buttons", ...buttons.all, run.compare), where),
      controls.root,
      div("found", numbers),
    ),
    ...[reasons.root, scale, ...run.parts, chosen.link],
  );
  el.append(root);
  chosen.repaint();
}

export default { render };
