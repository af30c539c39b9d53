// The rows of a job's timeline, from its history. Pure.

/** What a wait is for, as the name of its row. */
const WAITS = {
  'batch window': 'Batch window',
  'next poll': 'Zoho works',
  receiver: 'Receiver',
  'Retry-After': 'Throttled by Zoho',
};

const isKnown = (value) => value !== null && value !== undefined;

/** A number with its noun. */
const count = (amount, noun) => `${Number(amount).toLocaleString('en-US')} ${noun}${amount === 1 ? '' : 's'}`;

const isFailure = (entry) => entry.status >= 300 || (!entry.status && Boolean(entry.code));

const listed = (...parts) => parts.filter(Boolean).join(', ');

const callDetail = (entry) => listed(
  isKnown(entry.records) && count(entry.records, 'record'), entry.status, entry.code,
  entry.shared_jobs > 1 && `shared by ${entry.shared_jobs} jobs`, entry.detail);

const ROWS = {
  received: (entry) => ({ name: 'Received', detail: entry.detail }),
  verified: (entry) => ({ name: 'Verified', detail: entry.detail }),
  mapped: (entry) => ({ name: 'Mapped', detail: entry.detail }),
  queued: (entry) => ({ name: 'Queued', detail: entry.detail }),
  looked_up: (entry) => ({ name: 'Looked up', detail: listed(isKnown(entry.records) && count(entry.records, 'record'), entry.code, entry.detail), kind: entry.code ? 'bad' : '' }),
  planned: (entry) => ({ name: 'Prepared', detail: listed(entry.detail, entry.code), kind: entry.code ? 'bad' : '' }),
  call: (entry) => ({ name: `Call ${entry.call ?? ''}`.trim(), detail: callDetail(entry), kind: isFailure(entry) ? 'bad' : '' }),
  poll: (entry) => ({
    name: entry.count > 1 ? `${Number(entry.count).toLocaleString('en-US')} polls` : 'Poll',
    detail: listed(isKnown(entry.call) && `call ${entry.call}`, callDetail(entry), entry.count > 1 && 'Zoho works'),
    kind: isFailure(entry) ? 'bad' : entry.count > 1 ? 'wait' : '',
  }),
  waiting: (entry) => ({ name: WAITS[entry.detail] || 'Waiting', detail: listed(isKnown(entry.call) && `call ${entry.call}`, !WAITS[entry.detail] && entry.detail), kind: 'wait' }),
  throttled: (entry) => ({ name: WAITS[entry.detail] || 'Throttled', detail: listed(isKnown(entry.call) && `call ${entry.call}`, entry.detail), kind: 'wait' }),
  superseded: (entry) => ({ name: 'Superseded', detail: listed(isKnown(entry.records) && count(entry.records, 'record'), entry.detail) }),
  callback: (entry) => ({
    name: entry.attempt > 1 ? `Callback ${entry.attempt}` : 'Callback',
    detail: listed(entry.host, entry.status, entry.detail),
    kind: entry.status >= 200 && entry.status < 300 ? 'cb' : 'bad',
  }),
  finished: (entry) => ({ name: 'Finished', detail: listed(String(entry.detail || '').replaceAll('_', ' '), entry.code), kind: entry.code ? 'bad' : '' }),
  summary: (entry) => ({ name: 'Earlier steps', detail: entry.detail, kind: 'wait' }),
};

const isWait = (event) => event === 'waiting' || event === 'throttled';

/** The arrival is one row: received, verified, mapped, queued happen within moments. */
function joinArrival(steps) {
  const first = steps[0];
  if (first?.entry.event !== 'received') return steps;
  let size = 1;
  while (steps[size] && ['verified', 'mapped', 'queued'].includes(steps[size].entry.event)) size += 1;
  const arrival = steps.slice(0, size);
  const names = arrival.slice(1).map((step) => step.entry.event).filter((event) => event !== 'queued');
  const joined = { entry: { ...first.entry, detail: listed(first.entry.detail, ...names) }, start: first.start, end: Math.max(...arrival.map((step) => step.end)) };
  return [joined, ...steps.slice(size)];
}

/** When a wait ended: with the next step of what waited, or not yet. */
function endOfWait(wait, steps, at, job, now) {
  const isNext = (step) => !isWait(step.entry.event) && step.entry.event !== 'finished' && step.start >= wait.start
    && (!isKnown(wait.entry.call) || !isKnown(step.entry.call) || wait.entry.call === step.entry.call)
    && (wait.entry.detail !== 'receiver' || step.entry.event === 'callback');
  const next = steps.slice(at + 1).find(isNext);
  if (next) return next.start;
  const until = Date.parse(wait.entry.until);
  const isOver = wait.entry.detail === 'receiver' ? job.callback?.status !== 'pending' : Boolean(job.finished_at);
  if (!isOver) return Math.max(now.getTime(), wait.start);
  return Number.isNaN(until) ? wait.start : Math.min(until, Date.parse(job.finished_at) || until);
}

/**
 * The rows `{name, detail, kind, start, end}` in order of their start, with times in ms. `kind` is `''`, `wait`, `bad` or
 * `cb`. An entry begins at its `at`; a wait ends when the next step begins, or now if it has not.
 */
export function waterfallRows(job, now) {
  const steps = (job.history || [])
    .map((entry) => {
      const start = Date.parse(entry.at);
      return { entry, start, end: (Date.parse(entry.last_at) || start) + (entry.count > 1 ? 0 : entry.took_ms || 0) };
    })
    .filter((step) => !Number.isNaN(step.start));
  steps.forEach((step, at) => {
    if (isWait(step.entry.event)) step.end = Math.max(step.start, endOfWait(step, steps, at, job, now));
  });
  return joinArrival(steps).map(({ entry, start, end }) => {
    const row = (ROWS[entry.event] || (() => ({ name: String(entry.event), detail: entry.detail })))(entry);
    return { name: row.name, detail: row.detail || '', kind: row.kind || '', start, end };
  });
}
