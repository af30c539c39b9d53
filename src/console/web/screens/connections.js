// Connections: token, credits, calls in flight, throttles, last error of each.

import { el, fill, button } from '../lib/element.js';
import { number, time } from '../lib/time.js';
import { state } from '../lib/state.js';

export const title = 'Connections';

const INTERVAL = 5000;

export function mount(root, context) {
  const { actions, api, signal } = context;
  const place = el('div', { class: 'pad' });
  fill(root, place);

  async function load() {
    try {
      const { connections } = await api.get('connections', {}, signal);
      fill(place, connections.length ? connections.map((one) => connectionCard(one, actions)) : actions.emptyState('The config names no connection.'));
      context.setLive(true);
    } catch (error) {
      context.setLive(false);
      if (!signal.aborted && !place.childElementCount) fill(place, actions.failureBox(error), button('Try again', load));
      throw error;
    }
  }
  api.repeat(load, INTERVAL, signal).catch(() => {});
}

/** The state of a connection as a shape and a word. */
function health(one) {
  if (one.throttled_until) return state('warn', 'throttled');
  if (one.token.problem) return state('bad', 'no token');
  if (one.credits.waiting) return state('warn', 'credits low');
  if (one.last_error) return state('warn', 'had errors');
  return one.token.expires_at ? state('ok', 'healthy') : state('off', 'not used yet');
}

/** A connection as a card; with `actions`, also its commands. */
export function connectionCard(one, actions) {
  const row = (name, ...value) => [el('dt', name), el('dd', value)];
  const { token, credits, in_flight: inFlight } = one;
  return el('section', { class: 'card connection', 'aria-label': `Connection ${one.name}` },
    el('div', { class: 'row' }, el('h2', one.name), el('span', { class: 'grow' }), health(one)),
    el('dl', { class: 'kv' },
      row('Data centre', [one.data_center, one.environment, one.edition].filter(Boolean).join(', ')),
      row('API', el('code', one.api_domain || one.accounts_url)),
      row('Token', token.expires_at ? ['expires ', time(token.expires_at, 'ago'), token.obtained_at && [', obtained ', time(token.obtained_at, 'ago')]]
        : token.problem ? [token.problem, token.retry_at && ['; next try ', time(token.retry_at, 'ago')]] : 'requested with the first call'),
      row('In flight', `${number(inFlight.now)} of ${number(inFlight.limit)} calls`),
      row('Credits', credits.left === null ? 'Zoho reports them once half of the day’s are used' : [`${number(credits.left)} left`, credits.limit !== null && ` of ${number(credits.limit)}`],
        credits.floor > 0 && el('span', { class: 'muted' }, `; new work waits below ${number(credits.floor)}`)),
      row('Throttled', one.throttled_until ? ['until ', time(one.throttled_until), ' (', time(one.throttled_until, 'ago'), ')'] : one.throttles ? `${number(one.throttles)} times since the start` : 'never since the start'),
      one.last_error && row('Last error', el('code', one.last_error.code), ' ', one.last_error.message, ', ', time(one.last_error.at, 'ago'),
        one.last_error.advice && el('p', { class: 'muted' }, one.last_error.advice))),
    actions && actions.commandLine('masshook check --live'));
}
