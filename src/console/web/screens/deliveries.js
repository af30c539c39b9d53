// Deliveries: the live feed, and one delivery beside it.

import { el, fill, button, link, prose } from '../lib/element.js';
import { createFeed } from '../lib/feed.js';
import { createList, parametersOf, PERIODS } from '../lib/list.js';
import { deliveryState, jobState } from '../lib/state.js';
import { bytes, duration, number, time } from '../lib/time.js';
import { query as queryText } from '../lib/api.js';

export const title = 'Deliveries';

const OUTCOMES = [['', 'All'], ['accepted', 'Accepted'], ['ignored', 'Ignored'], ['duplicate', 'Duplicate'], ['refused', 'Refused'], ['dead_letter', 'Dead letters']];
const TRIGGERS = { http: 'HTTP', eventbridge: 'EventBridge', sns: 'SNS', sqs: 'SQS', direct: 'Direct' };
const FILTERS = ['outcome', 'route', 'code', 'trigger', 'q'];

const COLUMNS = [
  { name: 'Time', class: 'faint', cell: (delivery) => time(delivery.received_at) },
  { name: 'Route', cell: (delivery) => delivery.route || el('span', { class: 'faint' }, 'none') },
  { name: 'Trigger', class: 'muted hide-s hide-open', cell: (delivery) => TRIGGERS[delivery.trigger] || delivery.trigger },
  { name: 'Outcome', cell: deliveryState },
  { name: 'Records', class: 'num hide-s', cell: (delivery) => number(delivery.records) },
  { name: 'Took', class: 'num faint hide-s hide-open', cell: (delivery) => duration(delivery.took_ms) },
];

export function mount(root, context) {
  let { query } = context;
  let { id } = context.params;
  const filters = el('div', { class: 'chips', role: 'group', 'aria-label': 'Filters' });
  const split = el('div', { class: 'split' });
  const detail = el('section', { class: 'detail', 'aria-label': 'Delivery', tabindex: -1, hidden: true });
  const place = el('div', { class: 'grow' });
  fill(root, filters, split);
  fill(split, place, detail);

  const parameters = () => parametersOf(query, FILTERS);
  const path = (change, deliveryId = null) => `/deliveries${deliveryId ? `/${encodeURIComponent(deliveryId)}` : ''}${queryText({ ...query, ...change })}`;

  const list = createList({
    label: 'Deliveries, newest first',
    columns: COLUMNS,
    id: (delivery) => delivery.id,
    path: (delivery) => path({}, delivery.id),
    navigate: context.navigate,
    loadOlder: async (position) => {
      const page = await context.api.get('deliveries', { ...parameters(), ...position }, context.signal);
      return { entries: page.deliveries, next: page.next };
    },
  });

  function showFilters() {
    // Strangers choose the names of routes that do not exist.
    const withJobs = list.entries().filter((delivery) => delivery.jobs?.length).map((delivery) => delivery.route);
    const routes = new Set([...(context.status()?.routes || []), ...withJobs]);
    if (query.route) routes.add(query.route);
    fill(filters,
      OUTCOMES.map(([key, text]) => context.actions.chip(text, (query.outcome || '') === key, () => context.navigate(path({ outcome: key })))),
      query.q && context.actions.chip(`“${query.q}” ✕`, true, () => context.navigate(path({ q: '' }))),
      query.code && context.actions.chip(`${query.code} ✕`, true, () => context.navigate(path({ code: '' }))),
      el('span', { class: 'push row' },
        context.actions.choice('Period', PERIODS, query.hours || '', (hours) => context.navigate(path({ hours }))),
        context.actions.choice('Route', [['', 'All routes'], ...[...routes].sort().map((name) => [name, name])], query.route || '', (route) => context.navigate(path({ route })))));
  }

  const isFiltered = () => FILTERS.some((name) => query[name]) || query.hours;

  function empty() {
    if (isFiltered()) {
      return context.actions.emptyState('No delivery matches the filters.', el('p', link('/deliveries', 'Show all deliveries')));
    }
    const base = context.status()?.public_url || 'http://127.0.0.1:8080';
    return context.actions.emptyState('No delivery has arrived yet.',
      el('p', 'Each webhook appears here as soon as it arrives: what verified it, what it was mapped to, and what became of it. Send a sample of a sender, with a valid signature:'),
      context.actions.commandLine(`masshook send SENDER --route ROUTE --to ${base}`),
      el('p', 'or anything, to see it refused:'),
      context.actions.commandLine(`curl -i ${base}/hooks/ROUTE -H 'content-type: application/json' -d '{"hello": "world"}'`),
      el('p', link('/routes', 'The routes'), ' have the URLs to paste at the senders.'));
  }

  const feed = createFeed({
    context,
    kind: 'deliveries',
    list,
    place,
    parameters,
    empty,
    showFilters,
    announcement: (count, newest) => (count === 1 ? `New delivery: ${newest.route || 'no route'}, ${newest.outcome}` : `${count} new deliveries`),
    whenShown: () => list.select(id),
  });

  async function open() {
    split.classList.toggle('open', Boolean(id));
    detail.hidden = !id;
    list.select(id);
    if (!id) return;
    const wanted = id;
    try {
      const delivery = await context.api.get(`deliveries/${encodeURIComponent(wanted)}`, {}, context.signal);
      if (wanted !== id) return;
      showDetail(detail, delivery, context, { reload: open, path: path({}) });
      context.announce(`Opened: ${delivery.route || 'no route'}, ${delivery.outcome}`);
    } catch (error) {
      if (wanted === id) fill(detail, closeLink(path({})), context.actions.failureBox(error));
    }
    if (wanted === id && matchMedia('(max-width: 860px)').matches) detail.focus();
  }

  function close() {
    const before = id;
    if (!before) return false;
    context.navigate(path({}));
    list.focus(before);
    return true;
  }

  const canSend = Boolean(context.status()?.public_url);
  const sample = () => context.actions.actionButton('Send a sample', context, (trigger) => context.actions.sendSample(context, trigger));
  if (canSend) context.setTools(sample());

  const unbind = context.keys.bind({
    ...list.keys,
    Escape: { text: 'close the detail', run: close },
    r: { text: 'replay the open delivery', run: () => { const found = detail.querySelector('[data-key=r]'); if (!id || !found) return false; found.click(); return true; } },
  });

  feed.load();
  open();
  return {
    unmount() {
      unbind();
      feed.stop();
    },
    update(next) {
      const filtersBefore = queryText(query);
      ({ query } = next);
      ({ id } = next.params);
      if (queryText(query) !== filtersBefore) feed.load();
      open();
    },
  };
}

const closeLink = (path) => el('a', { href: `#${path}`, class: 'back' }, '← All deliveries');

function stepsOf(delivery) {
  return (delivery.steps || []).map((step) => el('li',
    step.ok ? el('span', { class: 'tick', 'aria-hidden': 'true' }, '✓') : el('span', { class: 'cross', 'aria-hidden': 'true' }, '✕'),
    el('span', el('span', { class: 'sr' }, step.ok ? 'passed: ' : 'failed: '), `${step.name[0].toUpperCase()}${step.name.slice(1)} `, el('span', { class: 'muted' }, prose(step.detail))),
    el('span', { class: 'faint mono' }, duration(step.took_ms))));
}

/** The lines around an error, with its column marked. `excerpt` has the lines up to and with `line`, or `{line, text}`. */
function excerptOf({ excerpt, line, column, length }) {
  if (!excerpt?.length) return null;
  const lines = excerpt.map((one, at) => (typeof one === 'string' ? { line: line - excerpt.length + 1 + at, text: one } : one));
  const width = String(lines.at(-1).line).length;
  return el('pre', { tabindex: 0, 'aria-label': 'The program' }, lines.map((one, at) => {
    const start = Math.max(0, (column || 1) - 1);
    const end = length ? start + length : start + (/^[\w.$@"[\]?-]+/.exec(one.text.slice(start))?.[0].length || 1);
    const text = one.line === line && column
      ? [one.text.slice(0, start), el('mark', one.text.slice(start, end)), one.text.slice(end)] : [one.text];
    return [el('span', { class: 'c' }, `${String(one.line).padStart(width)} | `), text, at < lines.length - 1 && '\n'];
  }));
}

function errorOf(delivery, context) {
  const { error } = delivery;
  if (!error) return null;
  return [el('h3', 'Error'),
    error.program && el('p', { class: 'muted' }, el('span', { class: 'mono' }, error.program), error.line && ` line ${error.line}`, error.line && error.column && `, column ${error.column}`),
    excerptOf(error),
    el('p', { class: 'note bad' }, el('b', `${error.code} `), prose(error.detail || error.title), error.hint && el('span', { class: 'muted' }, ' ', prose(error.hint))),
    error.errors?.length > 0 && el('ul', { class: 'plain-list' }, error.errors.slice(0, 20).map((one) => el('li', el('span', { class: 'mono' }, one.pointer || one.program || ''), ' ', prose(one.detail || one.text)))),
    cure(error.code, delivery, context)];
}

/** The next step after a refusal. */
function cure(code, delivery, context) {
  if (delivery.dead_letter || code === 'mapping_failed' || code === 'not_mappable') {
    return el('p', 'Mend the route’s ', el('code', 'map'), ' or ', el('code', 'when'), ' in the config, reload it, then replay the delivery.');
  }
  if (code === 'not_verified') {
    return [el('p', 'The sender and the route must have the same secret, and no proxy may change the body. See which part does not match:'),
      context.actions.commandLine(`masshook preview --explain --route ${context.actions.quoted(delivery.route || 'ROUTE')} EVENT.json`)];
  }
  if (code === 'no_such_route') return el('p', 'Check the URL at the sender against ', link('/routes', 'the routes'), '.');
  return null;
}

function bodyOf(delivery, context) {
  const { body } = delivery;
  const place = el('div');
  if (!body) return null;
  if (!body.stored) {
    return [el('h3', 'Body'), el('p', { class: 'muted' }, delivery.bytes ? `${bytes(delivery.bytes)}, not kept. ` : 'Not kept. ', 'A body is kept until all jobs of its delivery have finished, and as long as it is a dead letter.')];
  }
  const reveal = button(['Show body ', el('span', { class: 'faint' }, `${bytes(body.bytes)}, personal data`)], async () => {
    const shown = await context.actions.run(reveal, () => context.api.text(`deliveries/${encodeURIComponent(delivery.id)}/body`, context.signal), { failed: 'The body cannot be shown' });
    if (shown === undefined) return;
    const hide = button('Hide body', () => { fill(place, reveal); reveal.focus(); });
    fill(place, el('div', { class: 'row' }, hide, context.actions.copyButton(shown)), el('pre', { tabindex: 0, 'aria-label': 'The body' }, pretty(shown)));
    hide.focus();
  });
  fill(place, reveal);
  return [el('h3', 'Body'), place];
}

function pretty(text) {
  try {
    // Numbers beyond 2^53 would change, so a text with long numbers stays as it is.
    return /\d{16}/.test(text) ? text : JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

function jobsOf(delivery) {
  if (!delivery.jobs?.length) return null;
  const rows = delivery.jobs.map((job) => el('tr',
    el('td', { class: 'mono' }, link(`/jobs/${encodeURIComponent(job.id ?? job)}`, job.id ?? job)),
    el('td', job.status ? jobState(job) : ''),
    el('td', { class: 'num' }, job.counts ? `${number(job.counts.updated + (job.counts.created || 0))}/${number(job.counts.total)}` : '')));
  return [el('h3', delivery.jobs.length === 1 ? 'Job' : `Jobs (${number(Math.max(delivery.jobs_count, delivery.jobs.length))})`),
    el('div', { class: 'boxed' }, el('table', el('thead', { class: 'sr' }, el('tr', ['Job', 'State', 'Records'].map((name) => el('th', { scope: 'col' }, name)))), el('tbody', rows)))];
}

function showDetail(detail, delivery, context, { reload, path }) {
  const { actions, api } = context;
  const address = `deliveries/${encodeURIComponent(delivery.id)}`;
  const dead = delivery.dead_letter;
  const replay = dead && actions.actionButton(['Replay ', el('kbd', { 'aria-hidden': 'true' }, 'r')], context, async (trigger) => {
    const result = await actions.run(trigger, () => api.post(`${address}/replay`), { done: 'Replayed', failed: 'Not replayed' });
    if (result === undefined) return;
    context.refreshStatus();
    reload();
  }, { data: { key: 'r' } });
  const discard = dead && actions.actionButton('Discard', context, async (trigger) => {
    const command = `masshook deliveries discard ${actions.quoted(delivery.id)}`;
    const isSure = await actions.confirm({ title: 'Discard 1 dead letter?', text: 'Its body is deleted. It cannot be replayed after that.', verb: 'Discard 1', command, isDanger: true });
    if (!isSure) return;
    const result = await actions.run(trigger, () => api.post(`${address}/discard`), { done: 'Discarded', failed: 'Not discarded' });
    if (result === undefined) return;
    context.refreshStatus();
    reload();
  });
  const playground = delivery.route && el('a', { class: `btn ${delivery.error ? 'primary' : ''}`, href: `#/playground${queryText({ route: delivery.route, delivery: delivery.body?.stored ? delivery.id : '' })}` }, 'Open in playground');
  fill(detail,
    closeLink(path),
    el('h2', delivery.route || 'No route', ' ', deliveryState(delivery)),
    el('dl', { class: 'kv' },
      el('dt', 'Delivery'), el('dd', { class: 'mono' }, delivery.id),
      el('dt', 'Received'), el('dd', time(delivery.received_at, 'precise'), ' ', el('span', { class: 'faint' }, time(delivery.received_at, 'ago'))),
      el('dt', 'Trigger'), el('dd', TRIGGERS[delivery.trigger] || delivery.trigger, delivery.status && el('span', { class: 'faint' }, ` answered ${delivery.status}`)),
      delivery.sender && [el('dt', 'From'), el('dd', { class: 'mono' }, delivery.sender)],
      delivery.kept_until && [el('dt', 'Kept until'), el('dd', time(delivery.kept_until), dead ? ', as a dead letter' : '')]),
    el('h3', 'What happened'),
    el('ul', { class: 'steps' }, stepsOf(delivery)),
    dead && el('p', { class: 'note bad' }, el('b', 'Dead letter '), el('span', { class: 'faint' }, 'since ', time(dead.since)), !delivery.error && [el('br'), prose(dead.reason)], dead.job && [' ', link(`/jobs/${encodeURIComponent(dead.job)}`, 'Open its job')]),
    !delivery.error && !dead && delivery.reason && el('p', { class: 'note' }, prose(delivery.reason)),
    errorOf(delivery, context),
    jobsOf(delivery),
    bodyOf(delivery, context),
    el('div', { class: 'actions' }, playground, replay, discard),
    replay && actions.commandLine(`masshook deliveries replay ${actions.quoted(delivery.id)}`),
    discard && actions.commandLine(`masshook deliveries discard ${actions.quoted(delivery.id)}`));
}
