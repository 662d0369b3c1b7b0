// The recovery explorer: a forgotten picture as it emerges from the difference of two models.

const CURVES = ["gain", "cosine", "tv"];

/** What is recovered at this step, and where that is nothing, why. */
function verdictAt(says, cell, at) {
  const { something_changed: changed, update_cosine: cosine } = cell.metrics;
  if (!changed) return lost(cell.metrics.forgotten_confidence);
  const [gain, psnr] = [cell.curves.gain[at], cell.curves.psnr[at]];
  const quality = says.quality(gain, psnr);
  const last = at === cell.steps.length - 1;
  const when = last ? "At the end" : `At step ${cell.steps[at]}`;
  if (gain > 0) return `${when}: ${quality}.`;
  if (!last) return `${when}: no leak yet, ${quality}.`;
  const { drowns } = says.of("unlearning", cell.spec.unlearning);
  const its = `(its cosine with the update is ${cosine.toFixed(3)})`;
  const why =
    cosine > 0.99
      ? `Not found by this search: the picture's gradient is there ${its}`
      : `Not in the update: ${drowns} drowns the picture's gradient ${its}`;
  return `${why}. No leak, ${quality}.`;
}

/** What is proven of the picture that was found, by what it leaves of the update. */
function certificate(cell) {
  if (!cell.metrics.something_changed) return "";
  const sure = cell.solved.filter(([, , certified]) => certified);
  const called = (name) => (name.startsWith("layer") ? `what entered ${name}` : name);
  const one = ([name, left]) => `${called(name)} (${left.toPrecision(1)})`;
  const list = (rows) => rows.map(one).join(", ");
  const left = "in brackets the share of its update that is left";
  if (sure.length) return `Certified: ${list(sure)}; ${left}.`;
  if (cell.solved.length) return `Searched, not certified: ${list(cell.solved)}; ${left}.`;
  return "Searched, not certified: nothing proves that this is the only picture.";
}

/** The range of some values, with room around it. */
function around(values) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const room = 0.08 * (high - low) || 0.1;
  return [low - room, high + room];
}

/** A curve over the steps, with a mark at one of them. */
function curve(element, says, name, cell, at, xlabel) {
  const [values, y, ylabel] = [cell.curves[name], around(cell.curves[name]), says.titled(name)];
  const marks = element.clientWidth < 300 ? [0, 0.5, 1] : [0, 0.25, 0.5, 0.75, 1];
  const xticks = marks
    .map((share) => Math.round(share * (values.length - 1)))
    .map((k) => [k, cell.steps[k]]);
  const { name: ratio, unit } = says.metric("psnr");
  const also = name === "gain" ? ` (${signs(cell.curves.psnr[at])} ${unit} ${ratio})` : "";
  const label = `${ylabel} by step; ${signs(values[at])}${also} at step ${cell.steps[at]}`;
  const drawing = (width) => {
    const x = [0, values.length - 1];
    const { px, py, ...axes } = frame({ width, height: 128, x, y, ylabel, xlabel, xticks });
    const { line, mark } = says.colour;
    const path = through(values.map((v, k) => [px(k), py(v)]));
    const zero = name === "gain" && y[0] < 0 && y[1] > 0 ? axes.level("level", 0) : "";
    return `${axes.axes}${zero}
      <path d="${path}" fill="none" stroke="${line}" stroke-width="2"/>
      <path class="cursor" d="M${px(at)} ${axes.box.top}V${axes.box.bottom}"/>
      <circle cx="${px(at)}" cy="${py(values[at])}" r="5" fill="${mark}"/>`;
  };
  draw(element, label, drawing, 128);
}

/** Moves through the steps of the cell that is shown, until its last one. */
function player(view) {
  let timer = 0;
  const button = h("button", { type: "button", onclick: () => (timer ? stop() : start()) }, "Play");
  const stop = () => {
    clearInterval(timer);
    timer = 0;
    button.textContent = "Play";
  };
  const start = () => {
    if (!view.shown) return;
    const { steps } = view.shown;
    let at = steps.indexOf(nearest(view.chosen.state.step, steps));
    if (at === steps.length - 1) at = -1;
    button.textContent = "Pause";
    timer = setInterval(() => {
      const last = view.shown.steps.length - 1;
      at = Math.min(at + 1, last);
      view.chosen.change({ step: view.shown.steps[at] });
      if (at === last) stop();
    }, 150);
  };
  return { button, stop };
}

/** One pair of canvases a forgotten picture, made anew only when their number changes. */
function gallery(says, grid) {
  const root = div("pictures");
  let pairs = [];
  const make = (count) => {
    pairs = Array.from({ length: 2 * count }, (_, i) =>
      picture(i < count ? "forgotten" : "recovered"),
    );
    root.replaceChildren(...pairs.map((pair) => pair.root));
  };
  const show = (cell, at) => {
    const count = cell.spec.forget_size;
    if (pairs.length !== 2 * count) make(count);
    const quality = says.quality(cell.curves.gain[at], cell.curves.psnr[at]);
    pairs.forEach((pair, i) => {
      const first = i < count;
      grid.paint(pair.canvas, cell, first ? i : count * (at + 1) + (i - count));
      const name = count > 1 ? ` ${(i % count) + 1}` : "";
      const words = `${first ? "forgotten" : "recovered"}${name}`;
      const step = first ? "" : `, step ${cell.steps[at]}, ${quality}`;
      pair.caption.textContent = words;
      pair.canvas.setAttribute("aria-label", `${words}${step}`);
    });
  };
  return { root, show };
}

/** The controls; set(state, axes) brings a state into what there is, and shows it. */
function knobs({ model, says, methods, fresh }, pick) {
  const option = says.option;
  const rateTaken = (state) => says.takes("unlearning", state.unlearning, "unlearning_rate");
  const sample = slider(option("sample"), person(model), pick("sample"));
  const method = choice(option("unlearning"), methods, pick("unlearning"));
  const rate = slider(option("unlearning_rate"), signs, pick("unlearning_rate"));
  const size = slider(option("forget_size"), String, pick("forget_size"));
  const wanted = (state) => ({
    sample: state.sample,
    unlearning: state.unlearning,
    unlearning_rate: (rateTaken(state) ? state : fresh).unlearning_rate,
    forget_size: state.forget_size,
  });
  const set = (state, axes, sizes) => {
    for (const name of ["sample", "unlearning_rate"])
      state[name] = nearest(state[name], axes[name]);
    state.unlearning = among(state.unlearning, methods, fresh.unlearning);
    const allowed = sizes(wanted(state), axes.forget_size);
    state.forget_size = nearest(state.forget_size, allowed);
    sample.set(state.sample, axes.sample);
    method.set(state.unlearning);
    rate.set(state.unlearning_rate, axes.unlearning_rate, rateTaken(state));
    size.set(state.forget_size, allowed);
  };
  return { parts: [sample, method, rate, size].map(({ root }) => root), set, wanted };
}

/** How many together there are of this choice without a kernel: not of each all. */
function held(grid, wanted, all) {
  const some = all.filter((size) => grid.find({ ...wanted, forget_size: size }));
  return some.length ? some : all;
}

function repaint(view, state) {
  const { model, says, grid, controls } = view;
  if (view.live.alive) controls.set(state, model.get("finer"), (_, all) => all);
  else controls.set(state, grid.axes, (wanted, all) => held(grid, wanted, all));
  const wanted = controls.wanted(state);
  const cell = grid.find(wanted);
  if (missing(cell, view, wanted)) return;
  view.shown = cell;
  const now = nearest(state.step, cell.steps); // the reader's own step stays in the state
  const at = cell.steps.indexOf(now);
  view.step.set(now, cell.steps);
  view.pictures.show(cell, at);
  CURVES.forEach((name, i) => {
    const xlabel = i === CURVES.length - 1 ? "step of the search (not to scale)" : "";
    curve(view.charts[i], says, name, cell, at, xlabel);
  });
  view.verdict.textContent = verdictAt(says, cell, at);
  view.proof.textContent = certificate(cell);
}

function lay(view) {
  const { root, model, step, play, controls, live, charts, chosen } = view;
  root.append(
    title("Recovery explorer"),
    lead(
      "Choose what is forgotten and how, then move through the search and watch the picture " +
        "emerge.",
    ),
    div(
      "columns",
      div("stage", view.pictures.root, view.verdict, view.proof),
      h("div", {}, step.root, div("buttons", play.button), ...controls.parts, live.root),
      h("div", {}, ...charts),
    ),
    note(model.get("note")),
    chosen.link,
  );
}

async function render({ model, el }) {
  const [says, grid, fresh] = [presented(model), await results(model), model.get("fresh")];
  const methods = says.choices("unlearning", grid.axes.unlearning);
  const root = h("section", { class: "uninv uninv-recovery", "aria-label": "Recovery explorer" });
  const view = { model, says, grid, fresh, methods, root, shown: null };
  Object.assign(view, { verdict: told(), proof: note() });
  const chosen = selection(model, "recovery", root, fresh, (state) => repaint(view, state));
  const play = player(view);
  const pick = (name) => (value) => {
    play.stop();
    chosen.change({ [name]: value });
  };
  const [controls, step] = [knobs(view, pick), slider("Step of the search", String, pick("step"))];
  const live = joined(model, grid, () => chosen.repaint());
  const parts = { pictures: gallery(says, grid), charts: CURVES.map(chart), controls, step };
  lay(Object.assign(view, parts, { chosen, live, play }));
  el.append(root);
  chosen.repaint();
  return play.stop;
}

export default { render };
