// Job: cards, the waterfall of its history, failures with advice, jobs that shared its calls.

import { el, fill, link, prose } from '../lib/element.js';
import { callbackState, jobState } from '../lib/state.js';
import { duration, number, time } from '../lib/time.js';
import { waterfallRows } from '../lib/waterfall.js';
import { referenceText } from './jobs.js';

export const title = 'Job';

const KINDS = { immediate: 'mass update', scheduled: 'scheduled mass update', records: 'record update', upsert: 'upsert of new records', add_tags: 'add tags', remove_tags: 'remove tags', change_owner: 'change owner', mass_change_owner: 'scheduled change of owner' };

const STEPS = { create: 'New records', fields: 'Fields', add_tags: 'Tags to add', remove_tags: 'Tags to remove', owner: 'Owner' };

export function mount(root, context) {
  let { id } = context.params;
  let shown = '';
  const loop = { abort: null };

  async function load() {
    const job = await context.api.get(`jobs/${encodeURIComponent(id)}`, {}, loop.abort.signal);
    if (loop.abort.signal.aborted) return false;
    const text = JSON.stringify(job);
    const wasShown = shown;
    if (text !== shown) {
      shown = text;
      show(root, job, context, restart);
      if (wasShown && job.finished_at && !JSON.parse(wasShown).finished_at) context.announce(`The job has finished: ${job.status}`);
    }
    return !job.finished_at || job.callback?.status === 'pending';
  }

  /** Reads the job every second until it has finished and its callback is delivered. */
  async function restart() {
    loop.abort?.abort();
    loop.abort = new AbortController();
    const { signal } = loop.abort;
    try {
      const isOpen = await load();
      context.setLive(isOpen);
      if (isOpen && !signal.aborted) {
        await context.api.repeat(async () => { if (!await load()) { loop.abort.abort(); context.setLive(false); } }, 1000, signal);
      }
    } catch (error) {
      if (signal.aborted) return;
      context.setTools();
      fill(root, el('div', { class: 'pad' }, link('/jobs', '← All jobs'), context.actions.failureBox(error), unparking(error)));
    }
  }

  /** What can be done about a job that this version cannot read. */
  function unparking(error) {
    if (error.code !== 'job_unreadable') return null;
    const resume = context.actions.actionButton('Try it again', context, async (trigger) => {
      const result = await context.actions.run(trigger, () => context.api.post(`jobs/${encodeURIComponent(id)}/replay`), { done: 'The job goes on', failed: 'Not resumed' });
      if (result !== undefined) restart();
    });
    return [el('div', { class: 'actions' }, resume), context.actions.commandLine(`masshook jobs replay ${context.actions.quoted(id)}`)];
  }

  const press = (key) => () => {
    const found = document.querySelector(`[data-key=${key}]`);
    if (!found) return false;
    found.click();
    return true;
  };
  const unbind = context.keys.bind({
    Escape: { text: 'back to the jobs', run: () => { context.navigate('/jobs'); } },
    r: { text: 'replay the job', run: press('r') },
  });
  restart();
  return {
    unmount() {
      unbind();
      loop.abort?.abort();
    },
    update(next) {
      ({ id } = next.params);
      shown = '';
      restart();
    },
  };
}

const card = (label, value, detail, isSmall) => el('div', { class: 'card' }, el('div', { class: 'l' }, label), el('div', { class: `v ${isSmall ? 'small' : ''}` }, value), el('div', { class: 'd' }, detail));

function cards(job) {
  const { counts } = job;
  const end = job.finished_at ? Date.parse(job.finished_at) : Date.now();
  const calls = job.calls || [];
  const shared = Math.max(0, ...(job.history || []).map((entry) => entry.shared_jobs || 0));
  return el('div', { class: 'cards' },
    card('State', jobState(job), job.finished_at ? ['finished ', time(job.finished_at, 'ago')] : ['accepted ', time(job.created_at, 'ago')], true),
    card('Records updated', counts?.total ? [number(counts.updated), el('small', ` of ${number(counts.total)}`)] : '–', [counts?.created ? `${number(counts.created)} created ` : '', counts?.failed ? `${number(counts.failed)} refused` : '', counts?.superseded ? ` ${number(counts.superseded)} left to a newer delivery` : '', counts?.pending ? ` ${number(counts.pending)} open` : '']),
    card('Zoho calls', number(calls.reduce((sum, call) => sum + call.attempts, 0)), [calls.length === 1 ? '1 planned' : `${number(calls.length)} planned`, shared > 1 ? `, shared by ${number(shared)} jobs` : '']),
    card('Took', duration(end - Date.parse(job.created_at)), job.callback ? ['callback ', callbackState(job.callback.status)] : 'no callback'));
}

/** A round number of ms that is at least `ms`, so that the ticks are readable. */
function scaleEnd(ms) {
  const step = 10 ** Math.floor(Math.log10(Math.max(ms, 1)));
  return [1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].map((factor) => factor * step).find((end) => end >= ms) || ms;
}

/** A time of the axis, with as few digits as it needs. */
const tick = (ms) => (ms < 1000 ? `${Number(ms.toPrecision(3))} ms` : ms < 90000 ? `${Number((ms / 1000).toPrecision(3))} s` : duration(ms));

function waterfall(job) {
  const rows = waterfallRows(job, new Date());
  if (!rows.length) return el('p', { class: 'muted' }, 'The history has no entry yet.');
  const start = Math.min(...rows.map((row) => row.start));
  const end = scaleEnd(Math.max(...rows.map((row) => row.end)) - start);
  const left = (at) => ((at - start) / end) * 100;
  const lines = rows.map((row) => {
    const width = Math.min(100 - left(row.start), left(row.end) - left(row.start));
    const took = row.end > row.start ? duration(row.end - row.start) : '';
    return el('li', el('div', { class: 'bar-row', title: `${new Date(row.start).toISOString()}` },
      el('div', { class: 'name' }, `${row.name} `, el('small', row.detail)),
      el('div', { class: 'track', 'aria-hidden': 'true' }, el('span', { class: `bar ${row.kind}`, style: { left: `${Math.min(99.5, left(row.start)).toFixed(2)}%`, width: `${Math.max(0, width).toFixed(2)}%` } })),
      el('div', { class: 'dur' }, row.kind === 'wait' && el('span', { class: 'sr' }, 'waiting '), row.kind === 'bad' && el('span', { class: 'sr' }, 'failed '), took)));
  });
  const ticks = [0, 0.2, 0.4, 0.6, 0.8].map((part) => el('span', part ? tick(end * part) : '0'));
  return el('div', { class: 'wf' },
    el('div', { class: 'axis', 'aria-hidden': 'true' }, el('span', { class: 'name' }, 'Step'), el('span', { class: 'ticks' }, ticks), el('span', { class: 'dur' }, 'Took')),
    el('ol', { 'aria-label': 'Timeline' }, lines));
}

/** Columns that are aligned at the right. */
const NUMBERS = new Set(['Call', 'Records', 'Sent', 'Changed', 'Refused', 'Open']);

const table = (label, names, rows) => el('div', { class: 'boxed', tabindex: 0, role: 'region', 'aria-label': label }, el('table', el('thead', el('tr', names.map((name) => el('th', { scope: 'col', class: NUMBERS.has(name) ? 'num' : null }, name)))), el('tbody', rows)));

function failures(job) {
  if (!job.failures?.length) return null;
  const rows = job.failures.map((failure) => el('tr',
    el('td', { class: 'mono' }, failure.id || failure.value || ''),
    el('td', { class: 'mono' }, failure.code, failure.step && el('span', { class: 'faint' }, ` ${STEPS[failure.step] || failure.step}`)),
    el('td', { class: 'wrap' }, prose(failure.advice || failure.message), failure.field && el('span', { class: 'faint' }, ` (${failure.field})`))));
  return el('div', el('h2', { class: 'sub' }, 'Records that were not updated'), table('Records that were not updated', ['Record', 'Code', 'What to do'], rows),
    job.failures_omitted > 0 && el('p', { class: 'faint' }, `${number(job.failures_omitted)} more are counted, but not listed.`));
}

/** What a call changes: fields, tags or the owner. */
const changes = (call) => [...(call.fields || []), ...(call.tags || []), ...(call.owner ? [call.owner] : [])];

const state = (status) => el('span', { class: `st ${{ succeeded: 'ok', failed: 'bad', partially_succeeded: 'warn' }[status] || 'run'}` }, String(status).replaceAll('_', ' '));

function steps(job) {
  if (!job.steps?.length) return null;
  const rows = job.steps.map((step) => el('tr',
    el('td', STEPS[step.step] || step.step),
    el('td', state(step.status), step.error && el('span', { class: 'mono faint' }, ` ${step.error.code}`)),
    el('td', { class: 'num' }, number(step.counts.updated + (step.counts.created || 0))),
    el('td', { class: 'num' }, number(step.counts.failed)),
    el('td', { class: 'num' }, number(step.counts.pending))));
  return el('div', el('h2', { class: 'sub' }, 'Steps'), table('Steps', ['Step', 'State', 'Changed', 'Refused', 'Open'], rows));
}

function newRecords(job) {
  if (!job.new_records?.length) return null;
  const rows = job.new_records.map((record) => el('tr',
    el('td', { class: 'mono' }, record.id),
    el('td', { class: 'wrap' }, record.value),
    el('td', record.action, record.found_by && el('span', { class: 'faint' }, `, found by ${record.found_by}`))));
  return el('div', el('h2', { class: 'sub' }, 'New records'), table('New records', ['Record', 'Value', 'Outcome'], rows),
    job.new_records_omitted > 0 && el('p', { class: 'faint' }, `${number(job.new_records_omitted)} more are counted, but not listed.`));
}

function calls(job) {
  if (!job.calls?.length) return null;
  const rows = job.calls.slice(0, 100).map((call) => el('tr',
    el('td', { class: 'num' }, call.seq),
    el('td', KINDS[call.kind] || call.kind),
    el('td', { class: 'wrap mono' }, changes(call).join(', ')),
    el('td', { class: 'num' }, number(call.records)),
    el('td', state(call.status), call.error && el('span', { class: 'mono faint' }, ` ${call.error.code}`)),
    el('td', { class: 'num' }, call.attempts)));
  return el('div', el('h2', { class: 'sub' }, 'Calls'), table('Calls', ['Call', 'Kind', 'Changes', 'Records', 'State', 'Sent'], rows),
    job.calls.length > 100 && el('p', { class: 'faint' }, `${number(job.calls.length - 100)} more calls.`));
}

function companions(job) {
  const ids = [...new Set((job.history || []).flatMap((entry) => entry.shared_with || []))].filter((other) => !job.id.startsWith(other));
  if (!ids.length) return null;
  const total = Math.max(...job.history.map((entry) => entry.shared_jobs || 0)) - 1;
  return el('div', el('h2', { class: 'sub' }, 'Shared a call with'), table('Jobs that shared a call', ['Job'], ids.map((other) => el('tr', el('td', { class: 'mono' }, link(`/jobs/${encodeURIComponent(other)}`, other))))),
    total > ids.length && el('p', { class: 'faint' }, `and ${number(total - ids.length)} more`));
}

function problems(job) {
  const { error, callback } = job;
  return [
    error && el('p', { class: 'note bad', role: 'note' }, el('b', `${error.code} `), prose(error.message || error.detail), error.advice && el('div', { class: 'muted' }, prose(error.advice))),
    callback?.error && callback.status !== 'delivered' && el('p', { class: `note ${callback.status === 'undeliverable' ? 'bad' : ''}` }, el('b', callback.status === 'undeliverable' ? 'The callback could not be delivered. ' : 'The last callback attempt failed. '), prose(callback.error),
      callback.status === 'undeliverable' && ' Redeliver it once the receiver answers again.'),
    (job.notes || []).map((note) => el('p', { class: 'note' }, prose(note))),
  ];
}

function show(root, job, context, reload) {
  const { actions, api } = context;
  const address = `jobs/${encodeURIComponent(job.id)}`;
  context.setTitle(job.id);
  const canReplay = !job.replay && (job.status === 'failed' || job.status === 'partially_succeeded');
  const canRedeliver = Boolean(job.callback && job.finished_at && job.callback.status !== 'pending');
  const replay = canReplay && actions.actionButton(['Replay ', el('kbd', { 'aria-hidden': 'true' }, 'r')], context, async (trigger) => {
    const result = await actions.run(trigger, () => api.post(`${address}/replay`), { done: (answer) => `Replayed as ${answer?.job?.id || 'a new job'}`, failed: 'Not replayed' });
    if (result?.job?.id) context.navigate(`/jobs/${encodeURIComponent(result.job.id)}`);
  }, { class: 'primary', data: { key: 'r' } });
  const redeliver = canRedeliver && actions.actionButton('Redeliver callback', context, async (trigger) => {
    const result = await actions.run(trigger, () => api.post(`${address}/redeliver`), { done: 'The callback is sent again', failed: 'Not sent' });
    if (result !== undefined) reload();
  }, { data: { key: 'c' } });
  const reference = referenceText(job.reference);
  const focusedKey = document.activeElement?.dataset?.key;
  context.setTools(redeliver, replay);
  fill(root,
    cards(job),
    el('div', { class: 'pad' },
      el('p', { class: 'muted' }, link('/jobs', '← All jobs'), ' · ', job.route ? link(`/routes/${encodeURIComponent(job.route)}`, job.route) : 'sent to /jobs', ` · ${job.module}`,
        job.connection && ` · connection ${job.connection}`, reference && [' · reference ', el('span', { class: 'mono' }, reference)],
        job.delivery && [' · ', link(`/deliveries/${encodeURIComponent(job.delivery)}`, 'its delivery')],
        job.replay && [' · ', link(`/jobs/${encodeURIComponent(job.replay)}`, 'its replay')]),
      problems(job),
      el('h2', { class: 'sub' }, 'Timeline'),
      waterfall(job),
      job.history_omitted > 0 && el('p', { class: 'faint' }, `${number(job.history_omitted)} older entries are summarised.`),
      el('div', { class: 'two' }, newRecords(job), steps(job), failures(job), calls(job), companions(job)),
      replay && actions.commandLine(`masshook jobs replay ${actions.quoted(job.id)}`),
      redeliver && actions.commandLine(`masshook jobs redeliver ${actions.quoted(job.id)}`),
      actions.commandLine(`masshook jobs show ${actions.quoted(job.id)}`)));
  if (focusedKey) document.querySelector(`[data-key=${focusedKey}]`)?.focus();
}

