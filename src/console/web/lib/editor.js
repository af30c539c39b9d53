// A text editor: a textarea over a layer that shows the same text with colours and marks. The layer gives both their size.

import { el, fill } from './element.js';

/** Kinds of tokens, tried in this order. Each match gets the class. */
const LANGUAGES = {
  jq: [
    [/#[^\n]*/y, 'c'],
    [/"(?:\\[^]|[^"\\])*"?/y, 's'],
    [/\b\d+(?:\.\d+)?(?:[eE][+-]?\d+)?\b/y, 'p'],
    [/\b(?:if|then|elif|else|end|and|or|not|def|as|reduce|foreach|try|catch|label|break|true|false|null|empty|select)\b/y, 'p'],
    [/\$\w+/y, 'k'],
    [/\w+(?=\s*:(?!:))/y, 'k'],
    [/\.?\w+|[^]/y, ''],
  ],
  json: [
    [/"(?:\\[^]|[^"\\])*"(?=\s*:)/y, 'k'],
    [/"(?:\\[^]|[^"\\])*"?/y, 's'],
    [/-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\b(?:true|false|null)\b/y, 'p'],
    [/\w+|[^]/y, ''],
  ],
};

/** Longer texts are shown without colours. */
const MAX_COLOURED = 60000;

/** The tokens of a text: `[start, end, class]`. */
export function tokens(text, language) {
  if (text.length > MAX_COLOURED || !LANGUAGES[language]) return [[0, text.length, '']];
  const found = [];
  let at = 0;
  while (at < text.length) {
    for (const [pattern, kind] of LANGUAGES[language]) {
      pattern.lastIndex = at;
      const match = pattern.exec(text);
      if (!match) continue;
      const last = found.at(-1);
      if (last && last[2] === '' && kind === '') last[1] = pattern.lastIndex;
      else found.push([at, pattern.lastIndex, kind]);
      at = pattern.lastIndex;
      break;
    }
  }
  return found;
}

/** The offset of a line and column, both from 1; columns count characters as people do, not UTF-16 units. */
export function offsetOf(text, line, column) {
  let start = 0;
  for (let skipped = 1; skipped < line; skipped += 1) {
    const next = text.indexOf('\n', start);
    if (next < 0) break;
    start = next + 1;
  }
  const end = text.indexOf('\n', start);
  const before = [...text.slice(start, end < 0 ? undefined : end)].slice(0, Math.max(0, column - 1));
  return start + before.join('').length;
}

/** The range of a located error or hint, at least one character long. */
function rangeOf(text, { line, column, length }) {
  const start = offsetOf(text, line, column);
  const end = start + [...text.slice(start)].slice(0, Math.max(1, length || 1)).join('').length;
  // At the end of a text or line, the character before is marked.
  return start >= text.length || text[start] === '\n' ? [Math.max(0, start - 1), Math.max(1, start)] : [start, end];
}

/** The text as nodes: coloured tokens, with marks. */
function render(text, language, marks) {
  const ranges = marks.map((mark) => [...rangeOf(text, mark), mark.kind]);
  const nodes = [];
  const push = (from, to, kind) => {
    if (from >= to) return;
    const part = text.slice(from, to);
    nodes.push(kind ? el('span', { class: kind }, part) : part);
  };
  for (const [start, end, kind] of tokens(text, language)) {
    let at = start;
    for (const [from, to, mark] of ranges) {
      const [left, right] = [Math.max(from, at), Math.min(to, end)];
      if (left >= right) continue;
      push(at, left, kind);
      nodes.push(el('mark', { class: mark }, text.slice(left, right)));
      at = right;
    }
    push(at, end, kind);
  }
  return nodes;
}

let serial = 0;

/**
 * Makes an editor: `{label, value, language, rows, input(text), isReadOnly}`. Tab leaves it, as it leaves any other field.
 * `show(marks, messages)` marks `{line, column, length, kind}` and lists messages, which screen readers read with the field.
 */
export function createEditor({ label, value = '', language, rows = 1, input, isReadOnly = false }) {
  serial += 1;
  const id = `editor-${serial}`;
  const layer = el('pre', { class: 'layer', 'aria-hidden': 'true' });
  const area = el('textarea', {
    id, 'aria-label': label, 'aria-describedby': `${id}-messages`, spellcheck: 'false', autocomplete: 'off', autocapitalize: 'off',
    rows, readonly: isReadOnly, value, on: { input: () => { marks = []; paint(); input?.(area.value); } },
  });
  const messages = el('div', { id: `${id}-messages`, class: 'messages' });
  let marks = [];
  const paint = () => fill(layer, render(area.value, language, marks), '\n');
  paint();
  return {
    node: el('div', { class: 'editor-box' }, el('div', { class: 'editor' }, layer, area), messages),
    area,
    get value() { return area.value; },
    set value(text) { area.value = text; marks = []; paint(); },
    show(newMarks, ...content) {
      marks = newMarks.filter((mark) => mark.line).sort((a, b) => a.line - b.line || a.column - b.column);
      paint();
      fill(messages, content);
      if (newMarks.some((mark) => mark.kind !== 'hint')) area.setAttribute('aria-invalid', 'true');
      else area.removeAttribute('aria-invalid');
    },
  };
}
