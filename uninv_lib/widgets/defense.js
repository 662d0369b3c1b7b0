// The defense lab: what each defense hides, and what it costs.

const SHAPES = {
  none: (x, y, r) => `<circle cx="${x}" cy="${y}" r="${r}"/>`,
  obfuscation: (x, y, r) => `<rect x="${x - r}" y="${y - r}" width="${2 * r}" height="${2 * r}"/>`,
  pruning: (x, y, r) => `<path d="M${x} ${y - 1.3 * r}L${x + 1.2 * r} ${y + r}H${x - 1.2 * r}Z"/>`,
  fine_tuning: (x, y, r) => `<path d="M${x} ${y - 1.4 * r}L${x + 1.4 * r} ${y}L${x} ${y + 1.4 * r}L${x - 1.4 * r} ${y}Z"/>`,
};

const leak = (cell) => cell.metrics.psnr;
const utility = (cell) => cell.metrics.test_accuracy_released;

/** The cells that no other beats in both: less leak and more utility; the least useful first. */
function front(cells) {
  const beaten = (a) => cells.some((b) => leak(b) <= leak(a) && utility(b) >= utility(a) && (leak(b) < leak(a) || utility(b) > utility(a)));
  return cells.filter((cell) => !beaten(cell)).sort((a, b) => utility(a) - utility(b) || leak(a) - leak(b));
}

async function render({ model, el }) {
  const grid = await results(model);
  const names = model.get("class_names");
  const strengths = () => (live.alive ? model.get("finer") : model.get("strengths"));
  const fresh = { request: grid.axes.request[0], unlearning_rate: 1e-3, defense: "none", strength: 0 };
  const pick = (name) => (value) => chosen.change({ [name]: value });
  const sample = slider("Forgotten sample", (v) => `number ${v}`, pick("request"));
  const rate = slider("Unlearning rate", signs, pick("unlearning_rate"));
  const defense = choice("Defense", KINDS, pick("defense"));
  const strength = slider("Strength", (v) => `${v} ${UNITS[chosen.state.defense]}`, pick("strength"));
  const truth = picture("forgotten");
  const found = picture("recovered");
  const plane = chart();
  const verdict = h("p", { class: "uninv-verdict", role: "status" });
  const numbers = h("dl", { class: "uninv-numbers" });
  const live = kernel(model, { ready: () => chosen.repaint(), finished: (cell, buffer) => grid.add(cell, buffer).then(chosen.repaint) });

  const tradeoff = (cell) => {
    const others = [...grid.cells.values()].filter((other) => other.spec.request === cell.spec.request);
    const best = front(others);
    const range = (values, room) => [Math.min(...values) - room, Math.max(...values) + room];
    const label = `Leak against utility: recovered at ${leak(cell).toFixed(1)} dB, test accuracy ${(100 * utility(cell)).toFixed(1)}%. ${best.includes(cell) ? "On" : "Behind"} the Pareto front of ${best.length} settings.`;
    draw(plane, label, (width) => {
      const { px, py, axes } = frame({
        width, height: 300, x: range(others.map((o) => 100 * utility(o)), 1), y: range(others.map(leak), 5),
        xlabel: "test accuracy of the released model (%)", ylabel: "leak: PSNR of the recovery (dB)",
      });
      const mark = (o, r) => SHAPES[o.spec.defense](px(100 * utility(o)), py(leak(o)), r);
      const colour = (o) => COLOURS[KINDS.findIndex(([name]) => name === o.spec.defense)];
      const faint = others.map((o) => `<g fill="${colour(o)}" opacity="0.45">${mark(o, 3.5)}</g>`).join("");
      const line = best.map((o, i) => `${i ? "L" : "M"}${px(100 * utility(o))} ${py(leak(o))}`).join("");
      return `${axes}<path d="${line}" fill="none" stroke="currentColor" stroke-opacity="0.4" stroke-width="5" stroke-linejoin="round"/>${faint}
        <g fill="${colour(cell)}" stroke="currentColor" stroke-width="2">${mark(cell, 8)}</g>`;
    }, 300);
  };

  const repaint = (state) => {
    const allowed = strengths();
    state.request = nearest(state.request, allowed.request ?? grid.axes.request);
    state.unlearning_rate = nearest(state.unlearning_rate, allowed.unlearning_rate ?? grid.axes.unlearning_rate);
    if (!KINDS.some(([word]) => word === state.defense)) state.defense = fresh.defense;
    state.strength = nearest(state.strength, allowed[state.defense]);
    sample.set(state.request, allowed.request ?? grid.axes.request);
    rate.set(state.unlearning_rate, allowed.unlearning_rate ?? grid.axes.unlearning_rate);
    defense.set(state.defense);
    strength.set(state.strength, allowed[state.defense], state.defense !== "none");
    const wanted = { ...state };
    const cell = grid.find(wanted);
    root.setAttribute("aria-busy", String(!cell && live.alive));
    if (!cell) {
      verdict.textContent = live.alive ? "Not computed yet." : "Not computed here: run the notebook to compute it.";
      if (live.alive) live.run(wanted);
      return;
    }
    live.forget();
    grid.paint(truth.canvas, cell, 0);
    grid.paint(found.canvas, cell, 1);
    const { psnr, inferred_label: inferred, forgotten_label: forgotten, test_accuracy_before: before, test_accuracy_released: released } = cell.metrics;
    found.canvas.setAttribute("aria-label", `recovered, PSNR ${psnr.toFixed(1)} dB`);
    const said = inferred < 0 ? "nothing" : names[inferred];
    verdict.textContent = `The attack recovers at ${psnr.toFixed(1)} dB and says ${said}: ${inferred === forgotten ? "right" : `wrong, it was ${names[forgotten]}`}.`;
    numbers.replaceChildren(
      ...[["test accuracy before", before], ["test accuracy of the released model", released]].flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, `${(100 * value).toFixed(1)}%`)]),
    );
    tradeoff(cell);
  };

  const root = h("section", { class: "uninv uninv-defense", "aria-label": "Defense lab" });
  const chosen = selection(model, "defense", root, fresh, repaint);
  const key = h("p", { class: "uninv-note" }, "● none, ■ noise, ▲ pruning, ◆ fine-tuning; the large mark is your setting, the thick line the Pareto front: less leak costs accuracy there.");
  root.append(
    h("p", { class: "uninv-title" }, "Defense lab"),
    h("p", { class: "uninv-lead" }, "Protect a forgotten photograph before the model is released, and see what is left of it."),
    h("div", { class: "uninv-columns" },
      h("div", {}, sample.root, rate.root, defense.root, strength.root, live.root),
      h("div", {}, h("div", { class: "uninv-pictures" }, truth.root, found.root), verdict, numbers),
      h("div", {}, plane, key)),
    chosen.link,
  );
  el.append(root);
  chosen.repaint();
}

export default { render };
