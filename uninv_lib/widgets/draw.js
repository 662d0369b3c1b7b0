// Draw, forget, leak: everything is computed here, from the weights and digits in the widget's state.

const MODELS = [["linear", "softmax regression"], ["mlp", "one hidden layer"]];
const RATES = [1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1];
const SIZES = [1, 2, 4, 8, 16, 32, 64, 128];
const STRENGTHS = { none: [0], obfuscation: [0.1, 0.3, 0.5, 1, 2, 3, 5, 10], pruning: [0.1, 0.2, 0.3, 0.5, 0.7, 0.9], fine_tuning: [1, 2, 3, 5, 10] };
const SIDE = 8;
const LEVELS = 16; // the data set's own shades of grey

/** Paint grey values in [0, 1] onto a canvas of as many pixels. */
function paint(canvas, pixels) {
  canvas.width = canvas.height = SIDE;
  const image = new ImageData(SIDE, SIDE);
  pixels.forEach((v, i) => image.data.set([255 * v, 255 * v, 255 * v, 255], 4 * i));
  canvas.getContext("2d").putImageData(image, 0, 0);
}

function render({ model, el }) {
  const bytes = (name) => new Uint8Array(model.get(name).buffer ?? model.get(name), model.get(name).byteOffset ?? 0);
  const [mean, std] = [model.get("mean"), model.get("std")];
  const reach = Math.max(mean, 1 - mean) / std;
  const normalised = (pixels) => Float64Array.from(pixels, (v) => (v / LEVELS - mean) / std);
  const digits = bytes("digits");
  const labels = model.get("labels");
  const sample = (i) => digits.subarray(i * SIDE * SIDE, (i + 1) * SIDE * SIDE);
  const split = ([start, end]) => labels.slice(start, end).map((y, i) => ({ x: normalised(sample(start + i)), y }));
  const { retain, test, samples } = model.get("parts");
  const [retained, tested] = [split(retain), split(test)];
  const nets = {};
  const raw = bytes("weights");
  const weights = new Float32Array(raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.byteLength));
  let read = 0;
  const take = (count) => Float64Array.from(weights.subarray(read, (read += count)));
  for (const [name, layers] of Object.entries(model.get("layers"))) {
    nets[name] = layers.map(([units, inputs]) => ({ weight: take(units * inputs), bias: take(units) }));
  }

  const written = (pixels) => Array.from(pixels, (v) => v.toString(36)).join("");
  const ink = new Uint8Array(SIDE * SIDE);
  const fresh = {
    drawing: written(sample(samples[0])), label: labels[samples[0]], forgotten: false, model: "linear", method: "gradient_ascent",
    rate: 1e-3, size: 32, defense: "none", strength: 0, seed: 1,
  };
  const pick = (name) => (value) => {
    said.textContent = "";
    live.forget();
    chosen.change({ [name]: value });
  };
  const paper = picture("your drawing");
  const found = picture("what forgetting it leaks");
  const label = choice("This is a", Array.from({ length: 10 }, (_, i) => [i, String(i)]), pick("label"));
  const kind = choice("Model", MODELS, pick("model"));
  const method = choice("Unlearning", METHODS, pick("method"));
  const rate = slider("Unlearning rate", signs, pick("rate"));
  const size = slider("Private samples, yours among them", String, pick("size"));
  const defense = choice("Defense", KINDS, pick("defense"));
  const strength = slider("Strength", (v) => `${v} ${UNITS[chosen.state.defense]}`, pick("strength"));
  const verdict = h("p", { class: "uninv-verdict", role: "status" });
  const numbers = h("dl", { class: "uninv-numbers" });
  const where = h("p", { class: "uninv-note", role: "status" });
  const button = (text, onclick, kindOf = "") => h("button", { type: "button", class: kindOf, onclick }, text);
  const forget = button("Forget it", () => chosen.change({ forgotten: true }), "uninv-main");
  let shown = 0;
  const another = button("Another sample", () => {
    shown = (shown + 1) % (samples[1] - samples[0]);
    const i = samples[0] + shown;
    chosen.change({ drawing: written(sample(i)), label: labels[i], forgotten: false });
  });
  const clear = button("Clear", () => chosen.change({ drawing: "0".repeat(SIDE * SIDE), forgotten: false }));
  const reset = button("Reset all", () => {
    shown = 0;
    said.textContent = "";
    live.forget();
    chosen.change({ ...fresh });
  });
  const live = kernel(model, {
    ready: () => (compare.hidden = false),
    finished({ metrics: m }) {
      said.textContent = `The library, on a private digit: ${m.psnr.toFixed(1)} dB, label ${m.label_accuracy ? "right" : "wrong"}, test accuracy ${(100 * m.test_accuracy_before).toFixed(1)}% before, ${(100 * m.test_accuracy_released).toFixed(1)}% after.`;
    },
  });
  const said = h("p", { class: "uninv-note", role: "status" });
  const compare = button("The same in the library", () => {
    said.textContent = "";
    live.forget();
    const { model: name, method: unlearning, rate: unlearning_rate, size: private_size, defense: kindOf, strength: s } = chosen.state;
    live.run({ model: name, unlearning, unlearning_rate, private_size, defense: kindOf, strength: s });
  });
  compare.hidden = true;

  // Drawing: strokes with mouse, pen or finger; one pixel at a time with the keyboard.
  const drawn = () => chosen.change({ drawing: written(ink), forgotten: false });
  const place = (event) => {
    const box = paper.canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * SIDE, ((event.clientY - box.top) / box.height) * SIDE];
  };
  let last = null;
  const stroke = ([x, y]) => {
    const [fx, fy] = last ?? [x, y];
    const length2 = (x - fx) ** 2 + (y - fy) ** 2;
    for (let i = 0; i < SIDE * SIDE; i++) {
      const [px, py] = [(i % SIDE) + 0.5, Math.floor(i / SIDE) + 0.5];
      const along = length2 ? Math.min(1, Math.max(0, ((px - fx) * (x - fx) + (py - fy) * (y - fy)) / length2)) : 0;
      const away = Math.hypot(px - fx - along * (x - fx), py - fy - along * (y - fy));
      ink[i] = Math.max(ink[i], Math.round(LEVELS * Math.min(1, Math.max(0, 1.25 - away))));
    }
    last = [x, y];
    drawn();
  };
  const canvas = paper.canvas;
  canvas.classList.add("uninv-paper");
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    last = null;
    stroke(place(event));
  });
  canvas.addEventListener("pointermove", (event) => {
    if (canvas.hasPointerCapture(event.pointerId)) [...(event.getCoalescedEvents?.() ?? []), event].forEach((e) => stroke(place(e)));
  });
  let at = [3, 3];
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "application");
  canvas.setAttribute("aria-roledescription", "drawing");
  canvas.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const i = at[1] * SIDE + at[0];
    if (moves[event.key]) at = at.map((v, d) => Math.min(SIDE - 1, Math.max(0, v + moves[event.key][d])));
    else if (event.key === " " || event.key === "Enter") ink[i] = ink[i] > LEVELS / 2 ? 0 : LEVELS;
    else if (event.key === "Delete" || event.key === "Backspace") ink[i] = 0;
    else return;
    event.preventDefault();
    if (moves[event.key]) chosen.repaint();
    else drawn();
  });
  for (const name of ["focus", "blur"]) canvas.addEventListener(name, () => chosen.repaint());

  const theory = ({ model: name, method: way, defense: guard, strength: s }) =>
    name === "linear" && way === "gradient_ascent" && guard === "obfuscation" ? 1 / Math.sqrt(1 + (s * s) / 10) : null;

  const sane = (state) => {
    if (!/^[0-9a-g]{64}$/.test(state.drawing)) state.drawing = fresh.drawing;
    for (const [name, words] of [["model", MODELS], ["method", METHODS], ["defense", KINDS]]) {
      if (!words.some(([word]) => word === state[name])) state[name] = fresh[name];
    }
    state.label = nearest(state.label, Array.from({ length: 10 }, (_, i) => i));
    state.rate = nearest(state.rate, RATES);
    state.size = nearest(state.size, SIZES);
    state.strength = nearest(state.strength, STRENGTHS[state.defense]);
  };

  const repaint = (state) => {
    sane(state);
    ink.set(Array.from(state.drawing, (v) => parseInt(v, 36)));
    paint(canvas, Array.from(ink, (v) => v / LEVELS));
    const focused = document.activeElement === canvas || el.getRootNode().activeElement === canvas;
    if (focused) {
      const context = canvas.getContext("2d");
      context.fillStyle = "rgba(222, 143, 5, 0.6)";
      context.fillRect(at[0], at[1], 1, 1);
    }
    where.textContent = focused ? `Row ${at[1] + 1}, column ${at[0] + 1}: ${ink[at[1] * SIDE + at[0]] ? "ink" : "empty"}. Arrows move, space draws, delete clears.` : "";
    canvas.setAttribute("aria-label", "Your drawing, 8 by 8 pixels. Arrow keys move, space draws, delete clears.");
    label.set(state.label);
    kind.set(state.model);
    method.set(state.method);
    rate.set(state.rate, RATES, state.method === "gradient_ascent");
    size.set(state.size, SIZES);
    defense.set(state.defense);
    strength.set(state.strength, STRENGTHS[state.defense], state.defense !== "none");
    const empty = !ink.some((v) => v);
    forget.disabled = empty || state.forgotten;
    if (empty || !state.forgotten) {
      paint(found.canvas, new Float64Array(SIDE * SIDE));
      found.canvas.setAttribute("aria-label", "nothing has been forgotten yet");
      verdict.textContent = empty ? "Draw a digit, or take a sample." : "The model has learned it. Now ask to be forgotten.";
      numbers.replaceChildren();
      return;
    }
    const started = performance.now();
    const result = leak({
      pretrained: nets[state.model], forget: { x: normalised(ink), y: state.label }, retain: retained.slice(0, state.size - 1), test: tested,
      method: state.method, rate: state.rate, defense: state.defense, strength: state.strength, seed: state.seed, lr: model.get("lr"), reach,
    });
    const milliseconds = performance.now() - started;
    root.result = result;
    paint(found.canvas, result.x.map((v) => Math.min(1, Math.max(0, v * std + mean))));
    found.canvas.setAttribute("aria-label", `the recovered drawing, similarity ${result.similarity.toFixed(2)}`);
    verdict.textContent = `The server reads: a ${result.label}. That is ${result.label === state.label ? "right" : `wrong, you said ${state.label}`}.`;
    const law = theory(state);
    const rows = [
      ["similarity to your drawing", result.similarity.toFixed(3)],
      ...(law === null ? [] : [["theory, for this noise", law.toFixed(3)]]),
      ["test accuracy before", `${(100 * result.before).toFixed(1)}%`],
      ["test accuracy after", `${(100 * result.after).toFixed(1)}%`],
      ["computed in", `${milliseconds.toFixed(0)} ms`],
    ];
    numbers.replaceChildren(...rows.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
  };

  const root = h("section", { class: "uninv uninv-draw", "aria-label": "Draw, forget, leak" });
  root.engine = { nets, reach, normalised, retained, tested, gradient, leak };
  const chosen = selection(model, "draw", root, fresh, repaint);
  root.append(
    h("p", { class: "uninv-title" }, "Draw, forget, leak"),
    h("p", { class: "uninv-lead" }, "Draw a digit: a model learns it among others. Then have it forgotten, and see what the difference of the two models tells."),
    h("div", { class: "uninv-columns" },
      h("div", {},
        h("div", { class: "uninv-pictures" }, paper.root, found.root),
        label.root,
        h("div", { class: "uninv-buttons" }, forget, another, clear, reset, compare),
        where, verdict, numbers, live.root, said),
      h("div", {}, kind.root, method.root, rate.root, size.root, defense.root, strength.root)),
    chosen.link,
  );
  el.append(root);
  chosen.repaint();
}

export default { render };
