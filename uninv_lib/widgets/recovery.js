// The recovery explorer: a forgotten picture as it emerges from the difference of two models.

const CURVES = [["psnr", "PSNR (dB)"], ["cosine", "cosine of the gradients"], ["tv", "total variation"]];

async function render({ model, el }) {
  const grid = await results(model);
  const finer = () => (live.alive ? model.get("finer") : grid.axes);
  const fresh = { sample: grid.axes.sample[0], unlearning: "gradient_ascent", unlearning_rate: 1e-3, forget_size: 1, step: 999 };
  const pick = (name) => (value) => { stop(); chosen.change({ [name]: value }); };
  const sample = slider("Forgotten sample", (v) => `number ${v}`, pick("sample"));
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
      pair.canvas.setAttribute("aria-label", i < count ? words : `${words}, step ${cell.steps[at]}, mean PSNR ${cell.curves.psnr[at].toFixed(1)} dB`);
    });
  };

  const curve = (cell, at) => ([name, title], i) =>
    draw(charts[i], `${title} by step; ${signs(cell.curves[name][at])} at step ${cell.steps[at]}`, (width) => {
      const values = cell.curves[name];
      const low = Math.min(...values);
      const high = Math.max(...values);
      const room = 0.08 * (high - low) || 0.1;
      const xticks = [0, 0.25, 0.5, 0.75, 1].map((share) => Math.round(share * (values.length - 1))).map((k) => [k, cell.steps[k]]);
      const { px, py, box, axes } = frame({ width, height: 128, x: [0, values.length - 1], y: [low - room, high + room], ylabel: title, xlabel: i === 2 ? "step of the search" : "", xticks });
      const line = values.map((v, k) => `${k ? "L" : "M"}${px(k)} ${py(v)}`).join("");
      return `${axes}<path d="${line}" fill="none" stroke="${COLOURS[0]}" stroke-width="2"/>
        <path class="cursor" d="M${px(at)} ${box.top}V${box.bottom}"/><circle cx="${px(at)}" cy="${py(values[at])}" r="5" fill="${COLOURS[3]}"/>`;
    }, 128);

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
    root.setAttribute("aria-busy", String(!cell && live.alive));
    if (!cell) {
      verdict.textContent = live.alive ? "Not computed yet." : "Not computed here: run the notebook to compute it.";
      if (live.alive) live.run(wanted);
      return;
    }
    live.forget();
    shown = cell;
    const now = nearest(state.step, cell.steps); // the reader's own step stays, for cells that have it
    const at = cell.steps.indexOf(now);
    step.set(now, cell.steps);
    show(cell, at);
    CURVES.forEach(curve(cell, at));
    const { psnr, psnr_class_mean: mean, something_changed: changed } = cell.metrics;
    verdict.textContent = changed
      ? `Recovered at ${psnr.toFixed(1)} dB, ${Math.abs(psnr - mean).toFixed(1)} dB ${psnr > mean ? "above" : "below"} the mean of its class.`
      : "Rounding swallowed the whole update: nothing was unlearned, and nothing leaks.";
  };

  const root = h("section", { class: "uninv uninv-recovery", "aria-label": "Recovery explorer" });
  const chosen = selection(model, "recovery", root, fresh, repaint);
  root.append(
    h("p", { class: "uninv-title" }, "Recovery explorer"),
    h("p", { class: "uninv-lead" }, "Choose what is forgotten and how, then move through the search and watch the picture emerge."),
    h("div", { class: "uninv-columns" },
      h("div", {}, sample.root, method.root, rate.root, size.root, step.root, h("div", { class: "uninv-buttons" }, play), live.root),
      h("div", {}, pictures, verdict),
      h("div", {}, ...charts)),
    chosen.link,
  );
  el.append(root);
  chosen.repaint();
  return stop;
}

export default { render };
