// The defense lab: what each defense hides from the best attacker that is known, and what it costs.

const SHAPES = {
  none: (x, y, r) => `<circle cx="${x}" cy="${y}" r="${r}"/>`,
  obfuscation: (x, y, r) => `<rect x="${x - r}" y="${y - r}" width="${2 * r}" height="${2 * r}"/>`,
  pruning: (x, y, r) => `<path d="M${x} ${y - 1.3 * r}L${x + 1.2 * r} ${y + r}H${x - 1.2 * r}Z"/>`,
  fine_tuning: (x, y, r) => `<path d="M${x} ${y - 1.4 * r}L${x + 1.4 * r} ${y}L${x} ${y + 1.4 * r}L${x - 1.4 * r} ${y}Z"/>`,
};
const KNOWING = {
  none: "",
  obfuscation: "The attack fits all units at once, which averages the noise: the best known, whoever asks.",
  pruning: "Who knows of pruning takes each weight that is exactly zero for pruned, and works out what became of it from those that remain.",
  fine_tuning: "No attacker is known to us who gains from knowing of the fine-tuning.",
};
const NAIVE = "This attacker takes each pruned weight for a change made by unlearning.";

/** What this attacker finds of a cell: decibels, the label (−1 for none) and which of the cell's pictures it is. */
function attack({ metrics, pictures }, knows) {
  const adaptive = knows && pictures.length > 2;
  const [gain, psnr, label] = ["gain", "psnr", "inferred_label"].map((name) => metrics[adaptive ? `${name}_adaptive` : name]);
  return { gain, psnr, label, picture: adaptive ? 2 : 1 };
}

const leak = (cell, knows) => Math.max(0, attack(cell, knows).gain); // below 0 nothing has leaked, however far
const utility = (cell) => cell.metrics.test_accuracy_released;

/** The cells that no other beats in both: less leak and more utility; the least useful first. */
function front(cells, knows) {
  const [leaks, worth] = [cells.map((cell) => leak(cell, knows)), cells.map(utility)];
  const beaten = (a, i) => cells.some((b, j) => leaks[j] <= leaks[i] && worth[j] >= worth[i] && (leaks[j] < leaks[i] || worth[j] > worth[i]));
  return cells.filter((cell, i) => !beaten(cell, i)).sort((a, b) => utility(a) - utility(b) || leak(a, knows) - leak(b, knows));
}

const EXACT = 60; // dB PSNR: rounding to 8 bits costs about as much

/** What the attacker has, in words. */
function verdictOn(cell, knows, names) {
  const { gain, psnr, label } = attack(cell, knows);
  if (label < 0) return lost(cell.metrics.forgotten_confidence);
  const who = cell.spec.defense === "pruning" ? `The attacker who ${knows ? "knows" : "does not know"} of pruning` : "The attacker";
  const true_ = names[cell.metrics.forgotten_label];
  const reads = `reads the label ${names[label]}: ${names[label] === true_ ? "right" : `wrong, it was ${true_}`}.`;
  if (gain <= 0) return `No leak of the picture: it comes back ${quality(gain, psnr)}. ${who} ${reads}`;
  return `${who} recovers the picture${psnr >= EXACT ? " exactly," : ""} ${quality(gain, psnr)} and ${reads}`;
}

/** The plane of leak and utility, over all cells of one forgotten picture. */
function plane(element, cells, cell, knows, cap) {
  const best = front(cells, knows);
  const height = (other) => Math.min(cap, attack(other, knows).gain);
  const { gain } = attack(cell, knows);
  const label = `Leak against utility: ${decibels(gain)} dB above the best null baseline, test accuracy ${(100 * utility(cell)).toFixed(1)}%. ${best.includes(cell) ? "On" : "Behind"} the Pareto front of ${best.length} settings.`;
  const worth = cells.map((other) => 100 * utility(other));
  const x = [Math.min(...worth) - 1, Math.max(...worth) + 1];
  const y = [Math.min(0, ...cells.map(height)) - 7, cap + 5];
  const colour = (other) => COLOURS[KINDS.findIndex(([name]) => name === other.spec.defense)];
  draw(element, label, (width) => {
    const { px, py, box, axes } = frame({ width, height: 320, x, y, xlabel: "test accuracy when released (%)", ylabel: "leak: gain above the best null (dB)" });
    const at = (other) => [px(100 * utility(other)), py(height(other))];
    const mark = (other, r) => `<g fill="${colour(other)}">${SHAPES[other.spec.defense](...at(other), r)}</g>`;
    const above = (other) => (attack(other, knows).gain > cap ? `<path d="M${at(other)[0] - 4} ${py(cap) - 10}l4 -6l4 6" fill="none"/>` : "");
    const line = best.map((other, i) => `${i ? "L" : "M"}${at(other).join(" ")}`).join("");
    return `${axes}<path class="level" d="M${box.left} ${py(0)}H${box.right}"/>
      <text x="${box.left + 4}" y="${box.bottom - 6}">below 0: no better than guessing</text>
      <path d="${line}" fill="none" stroke="currentColor" stroke-opacity="0.4" stroke-width="5" stroke-linejoin="round"/>
      <g stroke="currentColor">${cells.map((other) => mark(other, 4) + above(other)).join("")}<g stroke-width="2.5">${mark(cell, 8)}</g></g>`;
  }, 320);
}

async function render({ model, el }) {
  const grid = await results(model);
  const [names, fresh, cap] = ["class_names", "fresh", "cap"].map((name) => model.get(name));
  const strengths = () => (live.alive ? model.get("finer") : model.get("strengths"));
  const pick = (name) => (value) => chosen.change({ [name]: value });
  const sample = slider("Forgotten picture", person(model), pick("request"));
  const rate = slider("Unlearning rate", signs, pick("unlearning_rate"));
  const defense = choice("Defense", KINDS, pick("defense"));
  const strength = slider("Strength", (v) => `${v} ${UNITS[chosen.state.defense]}`.replace(/^1 epochs/, "1 epoch"), pick("strength"));
  const knows = flip("The attacker knows of the defense", pick("knows"));
  const truth = picture("forgotten");
  const found = picture("recovered");
  const tradeoff = chart();
  const verdict = h("p", { class: "uninv-verdict", role: "status" });
  const why = h("p", { class: "uninv-note" });
  const numbers = h("dl", { class: "uninv-numbers" });
  const live = kernel(model, { ready: () => chosen.repaint(), finished: (cell, buffer) => grid.add(cell, buffer).then(chosen.repaint) });

  const settle = (state) => {
    const allowed = { ...grid.axes, ...strengths() };
    for (const name of ["request", "unlearning_rate"]) state[name] = nearest(state[name], allowed[name]);
    if (!KINDS.some(([word]) => word === state.defense)) state.defense = fresh.defense;
    state.strength = nearest(state.strength, allowed[state.defense]);
    sample.set(state.request, allowed.request);
    rate.set(state.unlearning_rate, allowed.unlearning_rate);
    defense.set(state.defense);
    strength.set(state.strength, allowed[state.defense], state.defense !== "none");
    knows.set(state.knows);
    why.textContent = state.defense === "pruning" && !state.knows ? NAIVE : KNOWING[state.defense];
  };

  const show = (cell, { knows: knowing }) => {
    const { picture: number, gain, psnr } = attack(cell, knowing);
    grid.paint(truth.canvas, cell, 0);
    grid.paint(found.canvas, cell, number);
    found.canvas.setAttribute("aria-label", `recovered, ${quality(gain, psnr)}`);
    verdict.textContent = verdictOn(cell, knowing, names);
    const accuracies = { "test accuracy before": cell.metrics.test_accuracy_before, "when released": utility(cell) };
    numbers.replaceChildren(...Object.entries(accuracies).flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, `${(100 * value).toFixed(1)}%`)]));
    plane(tradeoff, [...grid.cells.values()].filter((other) => other.spec.request === cell.spec.request), cell, knowing, cap);
  };

  const repaint = (state) => {
    settle(state);
    const { knows: _, ...wanted } = state; // a way to look at a run, not a run of its own
    const cell = grid.find(wanted);
    if (!missing(cell, { root, verdict, live }, wanted)) show(cell, state);
  };

  const root = h("section", { class: "uninv uninv-defense", "aria-label": "Defense lab" });
  const chosen = selection(model, "defense", root, fresh, repaint);
  const key = h("p", { class: "uninv-note" }, `● none, ■ obfuscation, ▲ pruning, ◆ fine-tuning; the large mark is your setting, the thick line the Pareto front: less leak costs accuracy there. ⌃ at ${cap} dB: off the scale. ${model.get("note")}`);
  root.append(
    h("p", { class: "uninv-title" }, "Defense lab"),
    h("p", { class: "uninv-lead" }, "Protect a forgotten photograph before the model is released, and see what the attacker gets of it."),
    h("div", { class: "uninv-columns" },
      h("div", { class: "uninv-stage" }, h("div", { class: "uninv-pictures" }, truth.root, found.root), verdict),
      h("div", {}, sample.root, rate.root, defense.root, strength.root, knows.root, why, numbers, live.root),
      h("div", {}, tradeoff, key)),
    chosen.link,
  );
  el.append(root);
  chosen.repaint();
}

export default { render };
