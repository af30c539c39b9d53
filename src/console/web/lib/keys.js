// The keyboard. Keys do nothing while somebody types or a dialog is open.

const scopes = [];

function isTyping(target) {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}

/**
 * Adds keys: `{ j: {text: 'next row', run() {…}} }`. Later scopes win. A key whose `run` returns `false` is passed on.
 * Returns a function that removes them.
 */
export function bind(keys) {
  scopes.push(keys);
  return () => {
    const at = scopes.indexOf(keys);
    if (at >= 0) scopes.splice(at, 1);
  };
}

/** All keys in force, as `[key, text]`. */
export function bound() {
  const all = new Map();
  for (const keys of scopes) for (const [key, { text }] of Object.entries(keys)) all.set(key, text);
  return [...all].filter(([, text]) => text);
}

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || document.querySelector('dialog[open]')) return;
  if (isTyping(event.target)) {
    if (event.key === 'Escape') event.target.blur();
    return;
  }
  // Enter and space belong to the focused control.
  if ((event.key === 'Enter' || event.key === ' ') && event.target instanceof Element && event.target.closest('a,button,summary')) return;
  for (const keys of scopes.slice().reverse()) {
    const found = keys[event.key];
    if (found && found.run(event) !== false) {
      event.preventDefault();
      return;
    }
  }
});
