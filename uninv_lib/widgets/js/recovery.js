// The recovery explorer: a forgotten picture as it emerges from the difference of two models.

const CURVES = [
  ["gain", "gain above the best null (dB)"],
  ["cosine", "cosine of the gradients"],
  ["tv", "total variation"],
];

/** What is recovered at this step, and where that is nothing, why. */
function verdictAt(cell, at) {
  const { something_changed: changed, update_cosine: cosine, forgotten_confidence: confidence } = cell.metrics;
  if (!changed) return lost(confidence);
  const [gain, psnr] = [cell.curves.gain[at], cell.curves.psnr[at]];
  const last = at === cell.steps.length - 1;
  const when = last ? "At the end" : `At step ${cell.steps[at]}`;
  if (gain > 0) return `${when}: ${quality(gain, psnr)}.`;
  if (!last) return `${when}: no leak yet, ${quality(gain, psnr)}.`;
  const exact = cell.spec.unlearning === "retrain";
  const drowned = exact ? "what the others taught the model" : "what rounding left";
  const why =
    cosine > 0.99
      ? `Not found by this search: the picture's gradient is there (its cosine with the update is ${cosine.toFixed(3)})`
      : `Not in the update: ${drowned} drowns the picture's gradient (its cosine with the update is ${cosine.toFixed(3)})`;
  return `${why}. No leak, ${quality(gain, psnr)}.`;
}

function curve(element, [name, title], cell, at, xlabel) {
  const values = cell.curves[name];
  const low = Math.min(...values);
  const high = Math.max(...values);
  const room = 0.08 * (high - low) || 0.1;
  const marks = element.clientWidth < 300 ? [0, 0.5, 1] : [0, 0.25, 0.5, 0.75, 1];
  const xticks = marks.map((share) => Math.round(share * (values.length - 1))).map((k) => [k, cell.steps[k]]);
  const also = name === "gain" ? ` (${signs(cell.curves.psnr[at])} dB PSNR)` : "";
  draw(element, `${title} by step; ${signs(values[at])}${also} at step ${cell.steps[at]}`, (width) => {
    const { px, py, box, axes } = frame({ width, height: 128, x: [0, values.length - 1], y: [low - room, high + room], ylabel: title, xlabel, xticks });
    const line = values.map((v, k) => `${k ? "L" : "M"}${px(k)} ${py(v)}`).join("");
    const level = name === "gain" && low - room < 0 && high + room > 0 ? `<path class="level" d="M${box.left} ${py(0)}H${box.right}"/>` : "";
    return `${axes}${level}<path d="${line}" fill="none" stroke="${COLOURS[0]}" stroke-width="2"/>
      <path class="cursor" d="M${px(at)} ${box.top}V${box.bottom}"/><circle cx="${px(at)}" cy="${py(values[at])}" r="5" fill="${COLOURS[3]}"/>`;
  }, 128);
}

async function render({ model, el }) {
  const grid = await results(model);
  const finer = () => (live.alive ? model.get("finer") : grid.axes);
  const fresh = model.get("fresh");
  const pick = (name) => (value) => { stop(); chosen.change({ [name]: value }); };
  const sample = slider("Forgotten picture", person(model), pick("sample"));
  const method = choice("Unlearning", METHODS, pick("unlearning"));
  const rate = slider("Unlearning rate", signs, pick("unlearning_rate"));
  const size = slider("Forgotten together", String, pick("forget_size"));
  const step = slider("Step of the search", String, pick("step"));
  const play = h("button", { type: "button", onclick: () => (timer ? stop() : start()) }, "Play");
  const pictures = h("div", { class: "uninv-pictures" });
  const charts = CURVES.map(chart);
  const verdict = h("p", { class: "uninv-verdict", role: "status" });
  const live = kernel(model, { ready: () => chosen.repaint(), finished: (cell, buffer) => grid.add(cell, buffer).then(chosen.repaint) });
  let timer = 0;
  let shown = null;
  let pairs = [];

  const stop = () => {
    clearInterval(timer);
    timer = 0;
    play.textContent = "Play";
  };
  const start = () => {
    if (!shown) return;
    let at = shown.steps.indexOf(nearest(chosen.state.step, shown.steps));
    if (at === shown.steps.length - 1) at = -1;
    play.textContent = "Pause";
    timer = setInterval(() => {
      const last = shown.steps.length - 1;
      at = Math.min(at + 1, last);
      chosen.change({ step: shown.steps[at] });
      if (at === last) stop();
    }, 150);
  };

  /** One pair of canvases a forgotten picture, made anew only when their number changes. */
  const show = (cell, at) => {
    const count = cell.spec.forget_size;
    if (pairs.length !== 2 * count) {
      pairs = Array.from({ length: 2 * count }, (_, i) => picture(i < count ? "forgotten" : "recovered"));
      pictures.replaceChildren(...pairs.map((pair) => pair.root));
    }
    pairs.forEach((pair, i) => {
      grid.paint(pair.canvas, cell, i < count ? i : count * (at + 1) + (i - count));
      const name = count > 1 ? ` ${(i % count) + 1}` : "";
      const words = i < count ? `forgotten${name}` : `recovered${name}`;
      pair.caption.textContent = words;
      pair.canvas.setAttribute("aria-label", i < count ? words : `${words}, step ${cell.steps[at]}, ${quality(cell.curves.gain[at], cell.curves.psnr[at])}`);
    });
  };

  const repaint = (state) => {
    const axes = finer();
    for (const name of ["sample", "unlearning_rate", "forget_size"]) state[name] = nearest(state[name], axes[name]);
    if (!METHODS.some(([word]) => word === state.unlearning)) state.unlearning = fresh.unlearning;
    const exact = state.unlearning === "retrain";
    sample.set(state.sample, axes.sample);
    method.set(state.unlearning);
    rate.set(state.unlearning_rate, axes.unlearning_rate, !exact);
    size.set(state.forget_size, axes.forget_size);
    const wanted = { sample: state.sample, unlearning: state.unlearning, unlearning_rate: exact ? 1e-3 : state.unlearning_rate, forget_size: state.forget_size };
    const cell = grid.find(wanted);
    if (missing(cell, { root, verdict, live }, wanted)) return;
    shown = cell;
    const now = nearest(state.step, cell.steps); // the reader's own step stays, for cells that have it
    const at = cell.steps.indexOf(now);
    step.set(now, cell.steps);
    show(cell, at);
    CURVES.forEach((one, i) => curve(charts[i], one, cell, at, i === 2 ? "step of the search" : ""));
    verdict.textContent = verdictAt(cell, at);
  };

  const root = h("section", { class: "uninv uninv-recovery", "aria-label": "Recovery explorer" });
  const chosen = selection(model, "recovery", root, fresh, repaint);
  root.append(
    h("p", { class: "uninv-title" }, "Recovery explorer"),
    h("p", { class: "uninv-lead" }, "Choose what is forgotten and how, then move through the search and watch the picture emerge."),
    h("div", { class: "uninv-columns" },
      h("div", { class: "uninv-stage" }, pictures, verdict),
      h("div", {}, step.root, h("div", { class: "uninv-buttons" }, play), sample.root, method.root, rate.root, size.root, live.root),
      h("div", {}, ...charts)),
    h("p", { class: "uninv-note" }, model.get("note")),
    chosen.link,
  );
  el.append(root);
  chosen.repaint();
  return stop;
}

export default { render };
