// What all screens share to act and to report: dialogs, results, errors with their cure, command lines, empty states.

import { el, fill, button, prose } from './element.js';
import { Problem, Unreachable } from './api.js';

/** Where results appear. */
export const toasts = el('div', { class: 'toasts', role: 'status', 'aria-live': 'polite' });

/** Reports a result for a few seconds. */
export function toast(text, kind = 'ok') {
  const note = el('div', { class: `toast ${kind}` }, el('span', text),
    button('Close', () => note.remove(), { class: 'quiet' }));
  toasts.append(note);
  while (toasts.childElementCount > 4) toasts.firstElementChild.remove();
  setTimeout(() => note.remove(), kind === 'bad' ? 20000 : 6000);
}

/** What to do about an error, besides what the error itself tells. */
const CURES = {
  console_read_only: 'Use the command line below, or start the console without the read-only option.',
  unavailable: 'Try again in a moment; the log of masshook has the reason.',
  overloaded: 'Try again in a few seconds.',
  no_such_job: 'It may have been removed: finished jobs are kept for a limited time.',
  no_such_delivery: 'It may have been removed: a delivery is kept until its jobs have finished, and the log keeps a limited number of entries.',
  defect: 'Please report it with the lines of the log.',
};

/** An error with its cure, as text. */
export function explain(error) {
  if (error instanceof Unreachable) return 'The console does not answer. Is masshook still running? The page tries again by itself.';
  if (error instanceof Problem) return [error.message, CURES[error.code]].filter(Boolean).join(' ');
  return String(error?.message || error);
}

/** An error as a box. */
export function failureBox(error, advice) {
  const errors = error instanceof Problem && Array.isArray(error.body.errors) ? error.body.errors : [];
  return el('div', { class: 'note bad', role: 'alert' },
    el('b', error instanceof Problem ? `${error.code} ` : ''), prose(explain(error)),
    errors.length > 0 && el('ul', errors.slice(0, 20).map((one) => el('li', el('span', { class: 'mono' }, one.pointer || one.program || ''), ' ', prose(one.detail || one.text)))),
    advice && el('p', advice));
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast('Copied');
  } catch {
    toast('The browser does not allow copying; select the text instead', 'bad');
  }
}

/** A button that copies a text. */
export const copyButton = (text, label = 'Copy') => button(label, () => copy(typeof text === 'function' ? text() : text), { class: 'quiet' });

/** Quotes an argument of a command line. */
export const quoted = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${String(text).replaceAll("'", "'\\''")}'`);

let reach = {};

/** Sets the arguments by which commands reach this store and this config. */
export const setReach = (args) => { reach = args || {}; };

/** A command with the arguments by which it reaches this store and this config. */
export const reaching = (text) => [text, /^masshook (jobs|deliveries)/.test(text) && reach.data,
  /^masshook (check|preview|send|deliveries replay)/.test(text) && reach.config].filter(Boolean).join(' ');

/** The command line that does the same as a button. */
export function commandLine(command) {
  const text = reaching(command);
  return el('div', { class: 'cli' }, el('code', text), copyButton(text));
}

/** What a screen shows while it has nothing: what would be here, and how to make it so. */
export const emptyState = (text, ...more) => el('div', { class: 'empty' }, el('p', { class: 'lead' }, text), more);

/** Opens a modal dialog. Returns a promise of the value of the button that closed it. */
export function openDialog(title, content, buttons = [['Close', null, 'primary']]) {
  return new Promise((done) => {
    const before = document.activeElement;
    let value = null;
    const dialog = el('dialog', { class: 'dialog', 'aria-labelledby': 'dialog-title' },
      el('h2', { id: 'dialog-title' }, title), content,
      el('div', { class: 'row end' }, buttons.map(([label, result, kind]) => button(label, () => { value = result; dialog.close(); }, { class: kind || '' }))));
    dialog.addEventListener('close', () => {
      dialog.remove();
      before?.focus?.();
      done(value);
    });
    document.body.append(dialog);
    dialog.showModal();
    dialog.querySelector('.primary, .danger')?.focus();
  });
}

/** Asks before something is done. `command` is the command line that does the same. */
export const confirm = ({ title, text, verb, command, isDanger }) => openDialog(title, [
  el('p', text), command && commandLine(command),
], [['Cancel', false], [verb, true, isDanger ? 'danger' : 'primary']]);

/** Runs an action of a button: disables it meanwhile, and reports the result. */
export async function run(trigger, work, { done, failed = 'Not done' } = {}) {
  if (trigger?.disabled) return undefined;
  if (trigger) trigger.disabled = true;
  try {
    const result = await work();
    const text = typeof done === 'function' ? done(result) : done;
    if (text) toast(text);
    return result;
  } catch (error) {
    if (error?.name !== 'AbortError') toast(`${failed}: ${explain(error)}`, 'bad');
    return undefined;
  } finally {
    if (trigger) trigger.disabled = false;
  }
}

/** A button that changes something; off in a read-only console. */
export function actionButton(label, context, work, properties = {}) {
  const node = button(label, () => work(node), properties);
  if (context.isReadOnly()) {
    node.disabled = true;
    node.title = 'The console is read-only; use the command line.';
  }
  return node;
}

/** Asks for a route, and delivers a signed sample of its sender to the server itself. */
export async function sendSample(context, trigger) {
  const answer = await run(trigger, () => context.api.get('routes', {}, context.signal), { failed: 'The routes cannot be read' });
  if (!answer) return;
  const routes = answer.routes.filter((route) => route.samples?.length);
  if (!routes.length) {
    await openDialog('No sample', [el('p', 'No route has a sender of which there is a sample. Any body can be sent with curl:'),
      commandLine(`curl -i ${context.status()?.public_url || 'URL'}/hooks/ROUTE -H 'content-type: application/json' -d '{}'`)]);
    return;
  }
  const place = el('div');
  const select = el('select', { id: 'sample-route', on: { change: () => show() } }, routes.map((route) => el('option', { value: route.name }, route.name)));
  const show = () => fill(place, (routes.find((route) => route.name === select.value)?.commands || []).slice(0, 1).map(commandLine));
  show();
  const isSure = await openDialog('Send a sample', [
    el('p', 'A sample of the route’s sender, signed with the route’s secret, is delivered to this server. Its jobs update records in Zoho as those of any delivery do.'),
    el('p', el('label', { for: 'sample-route' }, 'Route '), select), place,
  ], [['Cancel', false], ['Send', true, 'primary']]);
  if (!isSure) return;
  await run(trigger, async () => {
    const sent = await context.api.post(`routes/${encodeURIComponent(select.value)}/sample`);
    if (sent.status >= 300) throw new Error(`answered with ${sent.status}${sent.problem ? `: ${sent.problem}` : ''}`);
    return sent;
  }, { done: (sent) => `Sent: ${sent.jobs?.length === 1 ? '1 job' : `${sent.jobs?.length || 0} jobs`}`, failed: 'The sample' });
}

/** A menu of values in the address: a labelled `<select>`. */
export function choice(label, options, value, change) {
  const select = el('select', { 'aria-label': label, on: { change: () => change(select.value) } },
    options.map(([key, text]) => el('option', { value: key, selected: key === value }, text)));
  return el('span', { class: `choice ${value ? 'on' : ''}` }, select);
}

/** A filter as a chip: pressed or not. */
export const chip = (label, isOn, click, count) => el('button', {
  type: 'button', class: `chip ${isOn ? 'on' : ''}`, 'aria-pressed': isOn ? 'true' : 'false', on: { click },
}, label, count !== null && count !== undefined && el('b', ` ${count}`));

export { fill };
