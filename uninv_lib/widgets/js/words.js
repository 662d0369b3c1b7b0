// What the widget says of what it found.

const [HAS, SHADOW] = [0.9, 0.5]; // the similarity from which on we say so (ours)

const named = (digit) => `${digit === 8 ? "an" : "a"} ${digit}`;

/** What the server got, held against what was drawn; mean: the similarity of the class's mean. */
function verdictOn(says, { label, similarity }, truth, mean) {
  const right = label === truth ? "right" : `wrong, it was ${named(truth)}`;
  let has = "nothing of the drawing";
  if (similarity >= HAS && similarity > mean) has = "your drawing";
  else if (similarity >= SHADOW) has = "only a shadow of the drawing";
  else if (similarity <= -SHADOW) has = "a negative of the drawing";
  const less = similarity > mean ? "" : `; the mean of other ${truth}s has ${mean.toFixed(2)}`;
  const like = `${says.metric("similarity").name} ${similarity.toFixed(2)}${less}`;
  return `The server reads ${named(label)}: ${right}. It has ${has} (${like}).`;
}

function thresholds(says, truth) {
  const { name, meaning } = says.metric("similarity");
  return (
    `${name[0].toUpperCase()}${name.slice(1)} is ${meaning}. ` +
    `From ${HAS} on, where it is above that of the mean of other ${truth}s, we say that ` +
    `the server has the drawing; from ${SHADOW} on, a shadow of it.`
  );
}

/** What else than the forgotten digit lies in the difference. */
function mixedIn(says, { method, defense, knows }) {
  const { adaptive, mixed, mixed_unknown: naive = mixed } = says.of("defense", defense);
  return (adaptive && !knows ? naive : mixed) || says.of("unlearning", method).mixed;
}

/** Where the drawing in the pad comes from. */
function origin({ label, corrected }, empty, sampled) {
  if (empty) return "The page will guess what you draw.";
  if (sampled) return "A sample of the data set. Your first stroke clears the pad.";
  if (corrected) return `You say that it is ${named(label)}.`;
  return `The page guesses ${named(label)}: correct it if it is wrong.`;
}
