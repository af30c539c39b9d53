// States as a shape and a word: circle (done), diamond (attention), square (failed), ring (nothing to do).

import { el } from './element.js';

/** The word and the kind (`ok`, `warn`, `bad`, `run`, `off`) of each job status. */
const JOBS = {
  queued: 'run', running: 'run', waiting: 'run', succeeded: 'ok', partially_succeeded: 'warn', failed: 'bad', parked: 'bad',
};

const CALLBACKS = { pending: 'run', delivered: 'ok', undeliverable: 'bad' };

const words = (text) => String(text).replaceAll('_', ' ');

/** A state: `state('bad', '401 not_verified')`. */
export const state = (kind, text) => el('span', { class: `st ${kind}` }, text);

export function jobState(job) {
  if (job.parked) return state('bad', 'parked');
  const { values, matched } = job.lookup || {};
  const { created, superseded } = job.counts || {};
  const found = matched + (created || 0);
  const details = [found < values && `${matched} of ${values} matched`, created && `${created} created`, superseded && `${superseded} left to a newer delivery`].filter(Boolean);
  if (details.length && job.status === 'succeeded') return state(found === 0 ? 'warn' : 'ok', ['succeeded', ...details].join(', '));
  return state(JOBS[job.status] || 'run', words(job.status));
}

export const callbackState = (status) => (status ? state(CALLBACKS[status] || 'off', words(status)) : '');

/** The outcome of a delivery: `1 job`, `ignored: when[1]`, `duplicate`, `401 not_verified`. */
export function deliveryState(delivery) {
  if (delivery.dead_letter) return state('bad', `dead letter: ${delivery.dead_letter.code}`);
  switch (delivery.outcome) {
    case 'accepted': {
      const count = delivery.jobs_count ?? delivery.jobs?.length ?? 0;
      return count ? state('ok', count === 1 ? '1 job' : `${count} jobs`) : state('off', 'no job');
    }
    case 'ignored': return state('off', delivery.ignored_by ? `ignored: ${delivery.ignored_by}` : 'ignored');
    case 'duplicate': return state('off', 'duplicate');
    default: return state(delivery.replays?.length ? 'off' : 'bad', [delivery.status, delivery.code || delivery.outcome, delivery.replays?.length && '(replayed)'].filter(Boolean).join(' '));
  }
}
