// The defense lab: what each defense hides from the best attacker that is known, and what it costs.

/** What this attacker finds of a cell: the picture's quality, the label (−1 for none) and which of
 * the cell's pictures it is. A cell with a third picture holds what is found by who knows. */
function attack({ metrics, pictures }, knows) {
  const adaptive = knows && pictures.length > 2;
  const [gain, psnr, label] = ["gain", "psnr", "inferred_label"].map(
    (name) => metrics[adaptive ? `${name}_adaptive` : name],
  );
  return { gain, psnr, label, picture: adaptive ? 2 : 1 };
}

/** Below 0 nothing has leaked, however far. */
const leak = (cell, knows) => Math.max(0, attack(cell, knows).gain);
const utility = (cell) => cell.metrics.test_accuracy_released;

/** The cells that no other beats in both: less leak and more utility; the least useful first. */
function front(cells, knows) {
  const all = cells.map((cell) => ({ cell, leaks: leak(cell, knows), worth: utility(cell) }));
  const beats = (a, b) =>
    a.leaks <= b.leaks && a.worth >= b.worth && (a.leaks < b.leaks || a.worth > b.worth);
  return all
    .filter((one) => !all.some((other) => beats(other, one)))
    .sort((a, b) => a.worth - b.worth || a.leaks - b.leaks)
    .map(({ cell }) => cell);
}

const EXACT = 60; // dB PSNR: rounding to 8 bits costs about as much

/** What the attacker has, in words. */
function verdictOn(says, cell, knows, names) {
  const { gain, psnr, label } = attack(cell, knows);
  if (label < 0) return lost(cell.metrics.forgotten_confidence);
  const { adaptive, name } = says.of("defense", cell.spec.defense);
  const does = knows ? "knows" : "does not know";
  const who = adaptive ? `The attacker who ${does} of ${name}` : "The attacker";
  const truth = names[cell.metrics.forgotten_label];
  const right = names[label] === truth ? "right" : `wrong, it was ${truth}`;
  const reads = `reads the label ${names[label]}: ${right}.`;
  const quality = says.quality(gain, psnr);
  if (gain <= 0) return `No leak of the picture: it comes back ${quality}. ${who} ${reads}`;
  return `${who} recovers the picture${psnr >= EXACT ? " exactly," : ""} ${quality} and ${reads}`;
}

/** The plane of leak and utility in words; best: the Pareto front. */
function planeLabel(says, cell, knows, best) {
  const { unit } = says.metric("gain");
  const { name } = says.metric("test_accuracy");
  return (
    `Leak against utility: ${rounded(attack(cell, knows).gain)} ${unit} above the best null ` +
    `baseline, ${name} ${says.share("test_accuracy", utility(cell))}. ` +
    `${best.includes(cell) ? "On" : "Behind"} the Pareto front of ${best.length} settings.`
  );
}

/** The plane of leak and utility, over all cells of one forgotten picture. */
function plane(element, says, cells, cell, knows, cap) {
  const best = front(cells, knows);
  const height = (other) => Math.min(cap, attack(other, knows).gain);
  const worth = cells.map((other) => 100 * utility(other));
  const { name, unit } = says.metric("test_accuracy");
  const drawing = (width) => {
    const axes = frame({
      ...{ width, height: 320, xlabel: `${name} when released (${unit})` },
      x: [Math.min(...worth) - 1, Math.max(...worth) + 1],
      y: [Math.min(0, ...cells.map(height)) - 7, cap + 5],
      ylabel: `leak: ${says.titled("gain")}`,
    });
    const at = (other) => [axes.px(100 * utility(other)), axes.py(height(other))];
    const mark = (other, r) => says.mark(other.spec.defense, at(other), r);
    const above = (other) => (attack(other, knows).gain > cap ? chevron(at(other)) : "");
    return (
      background(axes, best.map(at)) +
      `<g stroke="currentColor">${cells.map((other) => mark(other, 4) + above(other)).join("")}` +
      `<g stroke-width="2.5">${mark(cell, 8)}</g></g>`
    );
  };
  draw(element, planeLabel(says, cell, knows, best), drawing, 320);
}

const chevron = ([x, y]) => `<path d="M${x - 4} ${y - 10}l4 -6l4 6" fill="none"/>`;

/** Axes, the level of guessing, and the line of the front through these places. */
const background = ({ axes, level, box }, places) =>
  axes +
  level("level", 0) +
  text(box.left + 4, box.bottom - 6, "below 0: no better than guessing") +
  `<path d="${through(places)}" fill="none" stroke="currentColor" stroke-opacity="0.4" ` +
  'stroke-width="5" stroke-linejoin="round"/>';

/** The controls; set(state, axes, strengths) brings a state into what there is, and shows it. */
function knobs({ model, says, kinds }, pick, chosen) {
  const option = says.option;
  const strong = (value) => says.strength(chosen().defense, value);
  const sample = slider(option("request"), person(model), pick("request"));
  const rate = slider(option("unlearning_rate"), signs, pick("unlearning_rate"));
  const defense = choice(option("defense"), kinds, pick("defense"));
  const strength = slider(option("strength"), strong, pick("strength"));
  const knows = flip("The attacker knows of the defense", pick("knows"));
  const why = note();
  const set = (state, axes, strengths) => {
    for (const name of ["request", "unlearning_rate"])
      state[name] = nearest(state[name], axes[name]);
    const allowed = strengths[state.defense];
    state.strength = nearest(state.strength, allowed);
    sample.set(state.request, axes.request);
    rate.set(state.unlearning_rate, axes.unlearning_rate);
    defense.set(state.defense);
    strength.set(state.strength, allowed, allowed.some(Boolean));
    knows.set(state.knows);
    why.textContent = says.noteOn(state.defense, state.knows);
  };
  return { parts: [...[sample, rate, defense, strength, knows].map((c) => c.root), why], set };
}

function show({ says, grid, names, cap, truth, found, ...view }, cell, knows) {
  const { picture: number, gain, psnr } = attack(cell, knows);
  grid.paint(truth.canvas, cell, 0);
  grid.paint(found.canvas, cell, number);
  found.canvas.setAttribute("aria-label", `recovered, ${says.quality(gain, psnr)}`);
  view.verdict.textContent = verdictOn(says, cell, knows, names);
  const before = says.share("test_accuracy", cell.metrics.test_accuracy_before);
  list(view.numbers, [
    [`${says.metric("test_accuracy").name} before`, before],
    ["when released", says.share("test_accuracy", utility(cell))],
  ]);
  const { request } = cell.spec;
  const cells = [...grid.cells.values()].filter((other) => other.spec.request === request);
  plane(view.tradeoff, says, cells, cell, knows, cap);
}

/** What there is of a defense without a kernel: not of each all that there is of the paper's. */
function held({ model, grid }, defense) {
  const cells = [...grid.cells.values()].filter(({ spec }) => spec.defense === defense);
  const some = (name) => grid.axes[name].filter((v) => cells.some(({ spec }) => spec[name] === v));
  const [request, rate] = [some("request"), some("unlearning_rate")];
  return {
    request: request.length ? request : grid.axes.request,
    unlearning_rate: rate.length ? rate : grid.axes.unlearning_rate,
    strengths: model.get("strengths"),
  };
}

function repaint(view, state) {
  const { model, grid, kinds, fresh } = view;
  state.defense = among(state.defense, kinds, fresh.defense);
  const { strengths, ...axes } = view.live.alive ? model.get("finer") : held(view, state.defense);
  view.controls.set(state, axes, strengths);
  const { knows, ...wanted } = state; // knows: a way to look at a run, not a run of its own
  const cell = grid.find(wanted);
  if (!missing(cell, view, wanted)) show(view, cell, knows);
}

/** What the marks of the plane mean. */
function keyOf({ model, says, kinds, cap }) {
  const marks = kinds.map(([name, shown]) => `${says.of("defense", name).glyph} ${shown}`);
  return (
    `${marks.join(", ")}; the large mark is your setting, the thick line the Pareto front: less ` +
    `leak costs accuracy there. ⌃ at ${cap} ${says.metric("gain").unit}: off the scale. ` +
    model.get("note")
  );
}

function lay(view) {
  const { truth, found, verdict, controls, numbers: measured, live, tradeoff } = view;
  view.root.append(
    title("Defense lab"),
    lead(
      "Protect a forgotten photograph before the model is released, and see what the attacker " +
        "gets of it.",
    ),
    div(
      "columns",
      div("stage", div("pictures", truth.root, found.root), verdict),
      h("div", {}, ...controls.parts, measured, live.root),
      h("div", {}, tradeoff, note(keyOf(view))),
    ),
    view.chosen.link,
  );
}

async function render({ model, el }) {
  const [says, grid] = [presented(model), await results(model)];
  const [names, fresh, cap] = ["class_names", "fresh", "cap"].map((name) => model.get(name));
  const kinds = says.choices("defense", grid.axes.defense);
  const root = h("section", { class: "uninv uninv-defense", "aria-label": "Defense lab" });
  const view = { model, says, grid, names, fresh, cap, kinds, root };
  const chosen = selection(model, "defense", root, fresh, (state) => repaint(view, state));
  const pick = (name) => (value) => chosen.change({ [name]: value });
  const controls = knobs(view, pick, () => chosen.state);
  const live = joined(model, grid, () => chosen.repaint());
  const [truth, found] = [picture("forgotten"), picture("recovered")];
  const parts = { truth, found, verdict: told(), numbers: numbers(), tradeoff: chart() };
  lay(Object.assign(view, parts, { chosen, live, controls }));
  el.append(root);
  chosen.repaint();
}

export default { render };
