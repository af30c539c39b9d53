// Makes elements. Data reaches the page only as text nodes and attribute values, never as markup.

const SVG = 'http://www.w3.org/2000/svg';

/** Attributes that could run code or load something. */
const BANNED = /^(on|src|style|action|formaction|xlink:href|ping|data)/i;

/**
 * Sets the properties of an element:
 * `on: {click: fn}` adds listeners, `style: {left: '10%'}` sets single styles, `data: {id: 'x'}` sets data attributes,
 * `class`, `value`, `checked`, `disabled` and other attributes are set by name. `null`, `undefined` and `false` leave an
 * attribute out. `href` must be a route of the page (`#/…`).
 */
function set(node, properties) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === 'on') {
      for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    } else if (name === 'style') {
      for (const [key, text] of Object.entries(value)) node.style.setProperty(key, String(text));
    } else if (name === 'data') {
      for (const [key, text] of Object.entries(value)) node.dataset[key] = String(text);
    } else if (name === 'value') {
      node.value = String(value);
    } else if (name === 'href') {
      if (!String(value).startsWith('#')) throw new TypeError(`href must be a route of the page: ${value}`);
      node.setAttribute('href', String(value));
    } else if (BANNED.test(name)) {
      throw new TypeError(`the attribute ${name} is not allowed`);
    } else {
      node.setAttribute(name, value === true ? '' : String(value));
    }
  }
}

function add(node, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false || child === true) continue;
    node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

function isProperties(value) {
  return value !== null && typeof value === 'object' && !(value instanceof Node) && !Array.isArray(value);
}

function make(node, rest) {
  const children = rest.slice();
  if (isProperties(children[0])) set(node, children.shift());
  add(node, children);
  return node;
}

/** `el('td', {class: 'num'}, '1,200')`; the properties may be left out. Strings become text nodes. */
export const el = (tag, ...rest) => make(document.createElement(tag), rest);

/** As `el`, for SVG. */
export const svg = (tag, ...rest) => make(document.createElementNS(SVG, tag), rest);

/** Replaces the content of an element. */
export function fill(node, ...children) {
  node.replaceChildren();
  add(node, children);
  return node;
}

/** A text whose `code` is shown as code. */
export const prose = (text) => String(text ?? '').split(/`([^`\n]+)`/).map((part, at) => (at % 2 ? el('code', part) : part));

/** A button. */
export function button(label, click, properties = {}) {
  const { class: names = '', ...others } = properties;
  return el('button', { type: 'button', class: `btn ${names}`.trim(), on: { click }, ...others }, label);
}

/** A link to a route of the page. */
export const link = (path, ...children) => el('a', { href: `#${path}` }, ...children);
