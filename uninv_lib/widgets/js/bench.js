// What stands around the drawing: the controls, the buttons, and the same run by the library.

/** The controls of the model and of unlearning. */
function learning(says, offer, pick) {
  const kind = choice(says.option("model"), offer.model, pick("model"));
  const method = choice(says.option("unlearning"), offer.method, pick("method"));
  const rate = slider(says.option("unlearning_rate"), signs, pick("rate"));
  const size = slider(says.option("private_size"), String, pick("size"));
  const set = (state) => {
    kind.set(state.model);
    method.set(state.method);
    rate.set(state.rate, offer.rate, says.takes("unlearning", state.method, "unlearning_rate"));
    size.set(state.size, offer.size);
  };
  return { parts: [kind, method, rate, size].map(({ root }) => root), set };
}

/** The controls of the defense. */
function guarding(says, offer, pick) {
  let shown = "";
  const written = (value) => says.strength(shown, value);
  const defense = choice(says.option("defense"), offer.defense, pick("defense"));
  const strength = slider(says.option("strength"), written, pick("strength"));
  const knows = flip("The attacker knows of the defense", pick("knows"));
  const about = note();
  const set = (state) => {
    shown = state.defense;
    const allowed = offer.strengths[shown];
    defense.set(shown);
    strength.set(state.strength, allowed, allowed.some(Boolean));
    knows.set(state.knows);
    knows.root.control.disabled = !(says.of("defense", shown).adaptive && TWIN.adaptive[shown]);
    about.textContent = says.noteOn(shown, state.knows, "_to_rows");
  };
  return { parts: [...[defense, strength, knows].map(({ root }) => root), about], set };
}

function knobs(says, offer, pick) {
  const groups = [learning, guarding].map((make) => make(says, offer, pick));
  const set = (state) => groups.forEach((group) => group.set(state));
  return { root: div("knobs", ...groups.flatMap(({ parts }) => parts)), set };
}

/** What the library found, of a private digit. */
function comparison(says, m, knows) {
  const knowing = knows && "gain_adaptive" in m ? "_adaptive" : "";
  const found = says.quality(m[`gain${knowing}`], m[`psnr${knowing}`]);
  const right = m[`label_accuracy${knowing}`] ? "right" : "wrong";
  const [before, after] = ["before", "released"].map((when) =>
    says.share("test_accuracy", m[`test_accuracy_${when}`]),
  );
  const [label, accuracy] = ["label_accuracy", "test_accuracy"].map((k) => says.metric(k).name);
  return (
    `The library, on a private digit: ${found}, ${label} ${right}, ${accuracy} ` +
    `${before} before, ${after} after.`
  );
}

/** The same settings, run by the library where a kernel answers. */
function library(model, says, chosen) {
  const said = h("p", { class: "uninv-note", role: "status" });
  const compare = h("button", { type: "button", hidden: true }, "The same in the library");
  const live = kernel(model, {
    ready: () => (compare.hidden = false),
    finished: ({ metrics }) => (said.textContent = comparison(says, metrics, chosen().knows)),
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
