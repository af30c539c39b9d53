// Jobs: the list, live.

import { el, fill, link } from '../lib/element.js';
import { query as queryText } from '../lib/api.js';
import { createFeed } from '../lib/feed.js';
import { createList, parametersOf, PERIODS } from '../lib/list.js';
import { callbackState, jobState } from '../lib/state.js';
import { number, time } from '../lib/time.js';

export const title = 'Jobs';

const STATUSES = [['', 'All'], ['queued', 'Queued'], ['running', 'Running'], ['succeeded', 'Succeeded'], ['partially_succeeded', 'Partially succeeded'], ['failed', 'Failed'], ['undeliverable', 'Callback undeliverable'], ['parked', 'Parked']];
const FILTERS = ['status', 'route', 'connection', 'reference', 'code', 'q'];

const COLUMNS = [
  { name: 'Accepted', class: 'faint', cell: (job) => time(job.created_at) },
  { name: 'Route', cell: (job) => job.route || el('span', { class: 'faint' }, '/jobs') },
  { name: 'Module', class: 'muted hide-s', cell: (job) => job.module },
  { name: 'Reference', class: 'hide-s hide-m', cell: (job) => referenceText(job.reference) },
  { name: 'State', cell: (job) => [jobState(job), job.code && el('span', { class: 'mono faint hide-m' }, ` ${job.code}`)] },
  { name: 'Records', class: 'num hide-xs', cell: (job) => recordsText(job.counts) },
  { name: 'Callback', class: 'hide-s', cell: (job) => callbackState(job.callback) },
  { name: 'Job', class: 'mono faint hide-s', cell: (job) => shortId(job.id) },
];

/** `1,198/1,200`; nothing while the records are not known. */
export const recordsText = (counts) => (counts && counts.total ? `${number(counts.updated + (counts.created || 0))}/${number(counts.total)}` : '');

export const referenceText = (reference) => (reference === null || reference === undefined ? '' : typeof reference === 'string' ? reference : JSON.stringify(reference));

/** An id as far as it is needed to tell it apart. */
const shortId = (id) => (id.length > 16 ? `${id.slice(0, 16)}…` : id);

export function mount(root, context) {
  let { query } = context;
  const filters = el('div', { class: 'chips', role: 'group', 'aria-label': 'Filters' });
  const place = el('div', { class: 'grow' });
  fill(root, filters, place);

  const path = (change) => `/jobs${queryText({ ...query, ...change })}`;
  const parameters = () => parametersOf(query, FILTERS);

  const list = createList({
    label: 'Jobs, newest first',
    columns: COLUMNS,
    id: (job) => job.id,
    path: (job) => `/jobs/${encodeURIComponent(job.id)}`,
    navigate: context.navigate,
    loadOlder: async (position) => {
      const page = await context.api.get('jobs', { ...parameters(), ...position }, context.signal);
      return { entries: page.jobs, next: page.next };
    },
  });

  function showFilters() {
    const options = (name, all) => {
      const values = new Set(list.entries().map((job) => job[name]).filter(Boolean));
      if (query[name]) values.add(query[name]);
      return [['', all], ...[...values].sort().map((value) => [value, value])];
    };
    const removable = ['q', 'code', 'reference'].filter((name) => query[name]);
    fill(filters,
      STATUSES.map(([key, text]) => context.actions.chip(text, (query.status || '') === key, () => context.navigate(path({ status: key })))),
      removable.map((name) => context.actions.chip(`${name === 'q' ? '' : `${name} `}“${query[name]}” ✕`, true, () => context.navigate(path({ [name]: '' })))),
      el('span', { class: 'push row' },
        context.actions.choice('Period', PERIODS, query.hours || '', (hours) => context.navigate(path({ hours }))),
        context.actions.choice('Route', options('route', 'All routes'), query.route || '', (route) => context.navigate(path({ route }))),
        options('connection', '').length > 2 || query.connection
          ? context.actions.choice('Connection', options('connection', 'All connections'), query.connection || '', (connection) => context.navigate(path({ connection }))) : null));
  }

  function empty() {
    if (FILTERS.some((name) => query[name]) || query.hours) {
      return context.actions.emptyState('No job matches the filters.', el('p', link('/jobs', 'Show all jobs')));
    }
    const base = context.status()?.public_url || 'http://127.0.0.1:8080';
    return context.actions.emptyState('There is no job yet.',
      el('p', 'A job is one update request: the records to change, the calls to Zoho, and the callback about its outcome. A delivery that a route maps makes jobs; so does a request to the API:'),
      context.actions.commandLine(`curl ${base}/jobs -H "authorization: Bearer $KEY" -H 'content-type: application/json' -d '{"module": "Leads", "fields": {"Lead_Source": "Webinar"}, "ids": ["5725767000000100003"]}'`),
      el('p', 'Or ', link('/routes', 'send a sample of a sender'), ', and see ', link('/deliveries', 'its delivery'), '.'));
  }

  const feed = createFeed({
    context,
    kind: 'jobs',
    list,
    place,
    parameters,
    empty,
    showFilters,
    announcement: (count) => (count === 1 ? 'New job' : `${count} new jobs`),
    whenShown: (signal) => context.api.repeat(() => refreshOpen(signal), 3000, signal),
  });

  /** Reads the newest jobs again while some of the shown ones are unfinished, because their state changes. */
  async function refreshOpen(signal) {
    const isOpen = (job) => !job.finished_at || job.callback === 'pending';
    if (!list.entries().slice(0, 50).some(isOpen)) return;
    const page = await context.api.get('jobs', parameters(), signal);
    const shown = new Map(list.entries().map((job) => [job.id, JSON.stringify(job)]));
    const changed = page.jobs.filter((job) => shown.has(job.id) && shown.get(job.id) !== JSON.stringify(job));
    if (changed.length && !signal.aborted) list.prepend(changed);
  }

  const unbind = context.keys.bind(list.keys);
  feed.load();
  return {
    unmount() {
      unbind();
      feed.stop();
    },
    update(next) {
      ({ query } = next);
      feed.load();
    },
  };
}
