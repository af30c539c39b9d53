// Overview: the last hours in numbers, what needs attention, routes, connections, received callbacks.

import { el, fill, button, link, prose } from '../lib/element.js';
import { sparkline } from '../lib/plot.js';
import { ago, clockTime, number, time } from '../lib/time.js';
import { state } from '../lib/state.js';
import { connectionCard } from './connections.js';

export const title = 'Overview';

const INTERVAL = 5000;
const HOURS = [['1', 'Last hour'], ['6', 'Last 6 hours'], ['24', 'Last 24 hours']];

export function mount(root, context) {
  const { actions, api, signal } = context;
  let hours = HOURS.some(([key]) => key === context.query.hours) ? context.query.hours : '24';
  const place = el('div');
  fill(root, place);

  function tools() {
    context.setTools(actions.choice('Period', HOURS, hours, (value) => context.navigate(`/overview?hours=${value}`)));
  }

  async function load() {
    try {
      const [overview, connections, callbacks] = await Promise.all([
        api.get('overview', { hours }, signal), api.get('connections', {}, signal), received()]);
      fill(place, ...content(overview, connections.connections, callbacks));
      context.setLive(true);
    } catch (error) {
      context.setLive(false);
      if (!signal.aborted && !place.childElementCount) fill(place, el('div', { class: 'pad' }, actions.failureBox(error), button('Try again', load)));
      throw error;
    }
  }

  /** What the receiver of `masshook dev` got; no other server has one. */
  async function received() {
    return context.status()?.receives_callbacks ? (await api.get('callbacks', { limit: 8 }, signal)).callbacks : null;
  }

  function content(overview, connections, callbacks) {
    const { buckets, totals } = overview;
    const period = HOURS.find(([key]) => key === hours)[1].toLowerCase();
    const card = (label, key, detail, kind) => el('div', { class: 'card' },
      el('div', { class: 'l' }, label), el('div', { class: 'v' }, number(totals[key])), el('div', { class: 'd' }, detail),
      sparkline(buckets.map((bucket) => bucket[key]), describe(label, buckets, key, period), kind));
    const isEmpty = totals.deliveries === 0 && totals.calls === 0;
    return [
      el('div', { class: 'cards' },
        card('Deliveries', 'deliveries', [`${number(totals.refused)} refused`]),
        card('Records updated or created', 'records', [`${number(totals.jobs)} jobs finished`]),
        card('Zoho requests', 'calls', [`${number(totals.throttles)} throttles`]),
        card('Zoho calls saved', 'calls_saved', 'by jobs that shared a call')),
      el('div', { class: 'pad two' },
        el('div',
          el('h2', { class: 'sub' }, 'Needs attention'), attention(overview.attention),
          isEmpty && firstSteps(),
          callbacks && [el('h2', { class: 'sub' }, 'Callbacks received by masshook dev'), callbackTable(callbacks)]),
        el('div',
          el('h2', { class: 'sub' }, 'Oldest due work'), oldest(overview),
          el('h2', { class: 'sub' }, 'Connections'), connections.map((one) => connectionCard(one)),
          el('p', { class: 'faint since' }, overview.since ? `Counted since ${clockTime(new Date(overview.since))} (${ago(new Date(overview.since))}).`
            : ['No process counts for this store: ', el('code', 'masshook serve --console'), ' does; on AWS, the dashboard of the stack has these numbers.']))),
    ];
  }

  function attention(items) {
    if (!items.length) return el('div', { class: 'boxed calm' }, state('ok', 'nothing'), el('span', { class: 'muted' }, ' No dead letters, no throttles, no overdue jobs.'));
    return el('div', { class: 'boxed attention' }, el('table', el('caption', { class: 'sr' }, 'What needs attention'), el('tbody', items.map((item) => el('tr',
      el('td', { class: 'wrap' }, state(item.severity, item.subject), el('div', prose(item.text)), item.command && el('code', { class: 'faint' }, actions.reaching(item.command))),
      el('td', { class: 'num' }, item.link && link(item.link, item.action || 'Open')))))));
  }

  const oldest = (overview) => el('div', { class: 'card' }, overview.oldest_due
    ? [el('b', 'due ', time(overview.oldest_due, 'ago')), el('div', { class: 'd' }, 'The engine takes the longest due jobs first.')]
    : el('span', { class: 'muted' }, 'No job is due.'));

  const firstSteps = () => el('div', { class: 'note' },
    el('b', 'Nothing has arrived yet. '), 'Send a sample from ', link('/routes', 'Routes'), ', or open the ', link('/playground', 'Playground'), ' to write a mapping without sending anything.');

  function callbackTable(callbacks) {
    if (!callbacks.length) return el('div', { class: 'boxed calm muted' }, 'None yet. Callbacks to other machines come here instead, so nothing leaves this machine.');
    return el('div', { class: 'boxed' }, el('table', el('caption', { class: 'sr' }, 'Received callbacks'),
      el('thead', el('tr', ['Time', 'Callback', 'Job', 'Signature'].map((name) => el('th', { scope: 'col' }, name)))),
      el('tbody', callbacks.map((one) => el('tr', el('td', time(one.at)), el('td', { title: one.url }, one.type, el('div', { class: 'faint ellipsis' }, one.url)),
        el('td', one.job && link(`/jobs/${encodeURIComponent(one.job)}`, el('code', one.job.slice(0, 14)))),
        el('td', one.problem ? state('bad', one.problem) : state('ok', 'valid')))))));
  }

  tools();
  api.repeat(load, INTERVAL, signal).catch(() => {});
  return {
    update({ query }) {
      hours = HOURS.some(([key]) => key === query.hours) ? query.hours : '24';
      tools();
      load().catch(() => {});
    },
  };
}

/** The plot in words: total, busiest time, now. */
function describe(label, buckets, key, period) {
  const values = buckets.map((bucket) => bucket[key]);
  const total = values.reduce((sum, value) => sum + value, 0);
  if (!total) return `${label}, ${period}: none`;
  const peak = values.indexOf(Math.max(...values));
  return `${label}, ${period}: ${number(total)} in all, most at ${clockTime(new Date(buckets[peak].at))} with ${number(values[peak])}, latest ${number(values.at(-1))}`;
}
