// The rows of a job's timeline, from its history. Pure.

const WAITS = { 'batch window': 'Batch window', 'next poll': 'Zoho works', receiver: 'Waiting for the receiver' };

/** A number with its noun. */
const count = (amount, noun) => `${Number(amount).toLocaleString('en-US')} ${noun}${amount === 1 ? '' : 's'}`;

const isFailure = (status) => status !== null && status !== undefined && status >= 300;

function callDetail(entry) {
  return [
    entry.records !== null && entry.records !== undefined && count(entry.records, 'record'),
    entry.status, entry.code, entry.shared_jobs > 1 && `shared by ${entry.shared_jobs} jobs`, entry.detail,
  ].filter(Boolean).join(', ');
}

const ROWS = {
  received: (entry) => ({ name: 'Received', detail: entry.detail }),
  verified: (entry) => ({ name: 'Verified', detail: entry.detail }),
  mapped: (entry) => ({ name: 'Mapped', detail: entry.detail }),
  queued: (entry) => ({ name: 'Queued', detail: entry.detail }),
  looked_up: (entry) => ({ name: 'Looked up', detail: [entry.records !== null && entry.records !== undefined && count(entry.records, 'record'), entry.detail].filter(Boolean).join(', ') }),
  planned: (entry) => ({ name: 'Prepared', detail: entry.detail }),
  call: (entry) => ({ name: entry.call ? `Call ${entry.call}` : 'Call', detail: callDetail(entry), kind: isFailure(entry.status) || (!entry.status && entry.code) ? 'bad' : '' }),
  poll: (entry) => ({ name: 'Poll', detail: callDetail(entry), kind: isFailure(entry.status) ? 'bad' : '' }),
  waiting: (entry) => ({ name: WAITS[entry.detail] || 'Waiting', detail: WAITS[entry.detail] ? '' : entry.detail, kind: 'wait' }),
  throttled: (entry) => ({ name: 'Throttled', detail: entry.detail || 'Zoho limits calls', kind: 'wait' }),
  callback: (entry) => ({
    name: entry.attempt > 1 ? `Callback ${entry.attempt}` : 'Callback',
    detail: [entry.host, entry.status, entry.code, entry.detail].filter(Boolean).join(', '),
    kind: entry.status >= 200 && entry.status < 300 ? 'cb' : 'bad',
  }),
  finished: (entry) => ({ name: 'Finished', detail: String(entry.detail || '').replaceAll('_', ' ') }),
  summary: (entry) => ({ name: 'Earlier', detail: entry.detail }),
};

/** Events that begin at their time and last until `until`; others end at their time. */
const isWait = (event) => event === 'waiting' || event === 'throttled';

/** Makes one step of what happens to a delivery within moments: received, verified, mapped, queued. */
function join(timed) {
  const first = timed[0];
  if (first?.entry.event !== 'received') return;
  const names = [];
  while (timed[1] && ['verified', 'mapped', 'queued'].includes(timed[1].entry.event)) {
    const [next] = timed.splice(1, 1);
    if (next.entry.event !== 'queued') names.push(next.entry.event);
    first.end = Math.max(first.end, next.end);
    first.at = next.at;
  }
  first.entry = { ...first.entry, detail: [first.entry.detail, ...names].filter(Boolean).join(', ') };
}

/**
 * The rows `{name, detail, kind, start, end}` in order of their start, with times in ms. `kind` is `''`, `wait`, `bad` or
 * `cb`. A wait ends when the next step begins, or now if it has not.
 */
export function waterfallRows(job, now) {
  const history = (job.history || []).map((entry, at) => ({ entry, at, time: Date.parse(entry.at) })).filter((one) => !Number.isNaN(one.time));
  const timed = history.map(({ entry, at, time }) => {
    const took = entry.took_ms || 0;
    return { entry, at, start: isWait(entry.event) ? time : time - took, end: time };
  });
  join(timed);
  const work = timed.filter((one) => !isWait(one.entry.event));
  for (const one of timed.filter((other) => isWait(other.entry.event))) {
    const next = work.filter((other) => other.at > one.at && other.start >= one.start).map((other) => other.start);
    const until = one.entry.until ? Date.parse(one.entry.until) : NaN;
    const isOver = next.length > 0 || job.finished_at;
    if (next.length) one.end = Math.min(...next);
    else if (!isOver) one.end = now.getTime();
    else one.end = Number.isNaN(until) ? one.start : until;
    one.end = Math.max(one.end, one.start);
  }
  return timed.sort((one, other) => one.start - other.start || one.at - other.at).map(({ entry, start, end }) => {
    const row = (ROWS[entry.event] || (() => ({ name: entry.event, detail: entry.detail })))(entry);
    return { name: row.name, detail: row.detail || '', kind: row.kind || '', start, end, tookText: '' };
  });
}
