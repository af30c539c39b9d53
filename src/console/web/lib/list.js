// A table of entries, newest first: selection by keys, older entries on demand, new ones on top. It never has more than a
// few hundred rows.

import { el, fill, button } from './element.js';

const MAX_ROWS = 400;
const KEPT_ROWS = 200;

/** Periods, by their hours. */
export const PERIODS = [['', 'Any time'], ['1', 'Last hour'], ['24', 'Last 24 hours'], ['168', 'Last 7 days']];

/** The parameters of a list's request for the filters in an address. */
export function parametersOf(query, filters) {
  const since = query.hours > 0 && query.hours < 1e5 ? new Date(Date.now() - Number(query.hours) * 3600000).toISOString() : null;
  return { ...Object.fromEntries(filters.map((name) => [name, query[name]])), since };
}

/**
 * Makes a list.
 *
 * `columns`: `{name, class, cell(entry)}`; `id(entry)`; `path(entry)` is the route that opens it; `label` names the table;
 * `loadOlder(parameters)` returns a page `{entries, next}`; the parameters are its position.
 */
export function createList({ columns, id, path, label, loadOlder, navigate }) {
  const body = el('tbody');
  const older = button('Load older', () => more(), { class: 'older' });
  const end = el('p', { class: 'end faint' });
  const table = el('table', { class: 'list' },
    el('caption', { class: 'sr' }, label),
    el('thead', el('tr', columns.map((column) => el('th', { class: column.class, scope: 'col' }, column.name)))),
    body);
  const node = el('div', { class: 'list-box' }, table, el('div', { class: 'list-foot' }, older, end));
  // Each row and its entry.
  let rows = [];
  let next = null;
  let current = null;

  function row(entry) {
    const cells = columns.map((column, at) => {
      const content = column.cell(entry);
      return el('td', { class: column.class }, at === 0 ? el('a', { href: `#${path(entry)}`, class: 'open' }, content) : content);
    });
    const tr = el('tr', { data: { id: id(entry) }, on: { click: (event) => { if (!event.target.closest('a,button') && !String(getSelection())) navigate(path(entry)); } } }, cells);
    mark(tr, id(entry) === current);
    return tr;
  }

  function mark(tr, isCurrent) {
    tr.classList.toggle('sel', isCurrent);
    if (isCurrent) tr.setAttribute('aria-current', 'true'); else tr.removeAttribute('aria-current');
  }

  function showFoot() {
    older.hidden = !next;
    end.textContent = !next && rows.length > 20 ? 'That is all.' : '';
  }

  async function more() {
    older.disabled = true;
    try {
      const page = await loadOlder(next);
      append(page.entries, page.next);
    } finally {
      older.disabled = false;
    }
  }

  function append(entries, cursor) {
    const known = new Set(rows.map((one) => one.id));
    const added = entries.filter((entry) => !known.has(id(entry))).map((entry) => ({ id: id(entry), entry, tr: row(entry) }));
    rows.push(...added);
    body.append(...added.map((one) => one.tr));
    next = cursor && { cursor };
    showFoot();
  }

  /** Puts entries on top, or replaces those that are shown already. Returns how many are new. */
  function prepend(entries) {
    const focused = document.activeElement?.closest?.('tr')?.dataset.id;
    const known = new Map(rows.map((one) => [one.id, one]));
    const added = [];
    for (const entry of entries) {
      const old = known.get(id(entry));
      if (old) {
        const tr = row(entry);
        old.tr.replaceWith(tr);
        Object.assign(old, { entry, tr });
      } else {
        const tr = row(entry);
        tr.classList.add('new');
        added.push({ id: id(entry), entry, tr });
      }
    }
    rows.unshift(...added);
    body.prepend(...added.map((one) => one.tr));
    trim();
    if (focused) focusRow(rows.findIndex((one) => one.id === focused));
    showFoot();
    return added.length;
  }

  /** Removes the oldest rows. They can be loaded again by their time. */
  function trim() {
    if (rows.length <= MAX_ROWS) return;
    for (const one of rows.splice(KEPT_ROWS)) one.tr.remove();
    const { received_at: received, created_at: created } = rows.at(-1).entry;
    next = { until: new Date(Date.parse(received || created) + 1).toISOString() };
  }

  function focusRow(at) {
    const link = rows[at]?.tr.querySelector('a.open');
    link?.focus({ preventScroll: true });
    rows[at]?.tr.scrollIntoView({ block: 'nearest' });
  }

  /** The position of the row with the focus, or of the open one. */
  function position() {
    const focused = document.activeElement?.closest?.('tr')?.dataset.id;
    const at = rows.findIndex((one) => one.id === focused);
    return at >= 0 ? at : rows.findIndex((one) => one.id === current);
  }

  return {
    node,
    append,
    prepend,
    /** Replaces everything. */
    reset(entries, cursor) {
      rows = [];
      fill(body);
      append(entries, cursor);
    },
    isEmpty: () => rows.length === 0,
    entries: () => rows.map((one) => one.entry),
    /** Marks the open entry. */
    select(entryId) {
      current = entryId;
      for (const one of rows) mark(one.tr, one.id === current);
    },
    /** Puts the focus back on an entry. */
    focus(entryId) { focusRow(rows.findIndex((one) => one.id === entryId)); },
    /** The keys of a list. */
    keys: {
      j: { text: 'next row', run: () => { focusRow(Math.min(rows.length - 1, position() + 1)); } },
      k: { text: 'previous row', run: () => { focusRow(Math.max(0, position() - 1)); } },
      Enter: { text: 'open the row', run: () => { const at = position(); if (at < 0) return false; navigate(path(rows[at].entry)); return true; } },
    },
  };
}
