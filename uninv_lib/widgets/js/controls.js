// Shared by all widgets: elements, controls and pictures.

/** An element; properties that start with "on" are event handlers. */
function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== false && value != null)
      element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

const div = (kind, ...parts) => h("div", { class: `uninv-${kind}` }, ...parts);
const note = (...parts) => h("p", { class: "uninv-note" }, ...parts);
const lead = (...parts) => h("p", { class: "uninv-lead" }, ...parts);
const title = (text) => h("p", { class: "uninv-title" }, text);
const numbers = () => h("dl", { class: "uninv-numbers" });
const told = () => h("p", { class: "uninv-verdict", role: "status" });
const chart = () => h("div", { class: "uninv-chart", role: "img" });

/** Show names and values in a list of numbers; rows: [[name, value], ...]. */
const list = (element, rows) =>
  element.replaceChildren(...rows.flatMap(([k, v]) => [h("dt", {}, k), h("dd", {}, v)]));

const nearest = (value, values) =>
  values.reduce((best, other) => (Math.abs(other - value) < Math.abs(best - value) ? other : best));

/** The value if it is one of the options, [[value, text], ...], else another one. */
const among = (value, options, other) => (options.some(([one]) => one === value) ? value : other);

/** A slider over a sorted list of numbers. set(value, values, enabled) shows, pick(value) is
 * told. */
function slider(name, show, pick) {
  let values = [];
  const output = h("output", { "aria-live": "off" }); // the slider itself speaks its value
  const oninput = () => pick(values[input.value]);
  const input = h("input", { type: "range", min: 0, step: 1, "aria-label": name, oninput });
  const root = h("label", { class: "uninv-control" }, h("span", {}, name), output, input);
  return {
    root,
    set(value, allowed, enabled = true) {
      values = allowed;
      input.max = values.length - 1;
      input.value = values.indexOf(value);
      input.disabled = !enabled || values.length < 2;
      output.textContent = enabled ? show(value) : "–";
      input.setAttribute("aria-valuetext", enabled ? show(value) : "does not apply");
    },
  };
}

/** A switch; set(on) shows, pick(on) is told. */
function flip(name, pick) {
  const onchange = () => pick(input.checked);
  const input = h("input", { type: "checkbox", role: "switch", "aria-label": name, onchange });
  const root = h("label", { class: "uninv-switch" }, input, h("span", {}, name));
  return { root, set: (on) => (input.checked = on) };
}

let groups = 0;

/** Radio buttons for a few words, a list for many; options: [[value, text], ...]. */
function choice(name, options, pick) {
  if (options.length > 4) return dropdown(name, options, pick);
  const group = `uninv-${(groups += 1)}`;
  const inputs = options.map(([value]) =>
    h("input", { type: "radio", name: group, onchange: () => pick(value) }),
  );
  const labels = options.map(([, text], i) => h("label", {}, inputs[i], h("span", {}, text)));
  const root = h("fieldset", { class: "uninv-choice" }, h("legend", {}, name), ...labels);
  const set = (value) => options.forEach(([other], i) => (inputs[i].checked = other === value));
  return { root, set };
}

function dropdown(name, options, pick) {
  const onchange = () => pick(options[select.selectedIndex][0]);
  const words = options.map(([, text]) => h("option", {}, text));
  const select = h("select", { "aria-label": name, onchange }, ...words);
  const set = (value) => (select.selectedIndex = options.findIndex(([other]) => other === value));
  return { root: h("label", { class: "uninv-control" }, h("span", {}, name), select), set };
}

const picture = (name) => {
  const canvas = h("canvas", { role: "img", "aria-label": name, width: 1, height: 1 });
  const caption = h("figcaption", {}, name);
  return { root: h("figure", { class: "uninv-picture" }, canvas, caption), canvas, caption };
};
