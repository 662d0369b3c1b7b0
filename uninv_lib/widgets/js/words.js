// What the widget says of what it found.

const [HAS, SHADOW] = [0.9, 0.5]; // the similarity from which on we say so (ours)

const named = (digit) => `${digit === 8 ? "an" : "a"} ${digit}`;
const percent = (share) => `${(100 * share).toFixed(1)}%`;

/** What the attacker makes of the defense, in words. */
function attacker({ defense, knows }) {
  if (defense === "obfuscation")
    return (
      "The attack fits all rows of the first layer at once, which averages the noise. We know no " +
      "better one: knowing of the obfuscation adds nothing."
    );
  if (defense === "fine_tuning")
    return "We know no better attacker than one who takes the fine-tuning for unlearning.";
  if (defense !== "pruning") return "";
  return knows
    ? "A pruned weight is exactly zero, and biases stay: the attacker fills it in from those left."
    : "The attacker takes each pruned weight for a change made by unlearning.";
}

/** What the server got, held against what was drawn; mean: the similarity of the class's mean. */
function verdictOn({ label, similarity }, truth, mean) {
  const right = label === truth ? "right" : `wrong, it was ${named(truth)}`;
  let has = "nothing of the drawing";
  if (similarity >= HAS && similarity > mean) has = "your drawing";
  else if (similarity >= SHADOW) has = "only a shadow of the drawing";
  else if (similarity <= -SHADOW) has = "a negative of the drawing";
  const less = similarity > mean ? "" : `; the mean of other ${truth}s has ${mean.toFixed(2)}`;
  const like = `similarity ${similarity.toFixed(2)}${less}`;
  return `The server reads ${named(label)}: ${right}. It has ${has} (${like}).`;
}

const thresholds = (truth) =>
  "Similarity is the cosine of the two pictures, measured from the mean grey: 1 is the drawing " +
  `itself. From ${HAS} on, where it is above that of the mean of other ${truth}s, we say that ` +
  `the server has the drawing; from ${SHADOW} on, a shadow of it.`;

/** The law of obfuscation, where it is known. */
function theory({ model, method, defense, strength }) {
  const known = model === "linear" && method === "gradient_ascent" && defense === "obfuscation";
  return known ? 1 / Math.sqrt(1 + strength ** 2 / 10) : null;
}

/** What else than the forgotten digit lies in the difference. */
function mixedIn({ method, defense, knows }) {
  if (defense === "pruning")
    return knows
      ? "A pruned weight is filled in from the units that kept theirs."
      : "A pruned weight moved by all that it was, and drowns the drawing.";
  if (defense === "obfuscation")
    return "The noise is divided, too; all units together average it, in the picture above.";
  if (defense === "fine_tuning") return "What fine-tuning learned from the others is mixed in.";
  if (method === "retrain") return "What the others taught the model is mixed in.";
  return "Every unit that moved says the same.";
}
