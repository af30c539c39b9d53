// The timeline's rows. `node --test tests/browser/` runs this without a browser.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

// Without a package.json, older versions of Node take the file for CommonJS.
const source = readFileSync(new URL('../../src/console/web/lib/waterfall.js', import.meta.url), 'utf8');
const { waterfallRows } = await import(`data:text/javascript,${encodeURIComponent(source)}`);

const START = Date.parse('2026-01-31T08:00:00.000Z');
const at = (ms) => new Date(START + ms).toISOString();
const rows = (history, job = {}, now = 60_000) => waterfallRows({ history, ...job }, new Date(START + now))
  .map((row) => [row.name, row.kind, row.start - START, row.end - START]);

const ARRIVAL = [
  { at: at(-12), event: 'received' },
  { at: at(-12), event: 'verified', took_ms: 2 },
  { at: at(-10), event: 'mapped', took_ms: 10 },
  { at: at(0), event: 'queued' },
];

test('arrival is one row and waits end with the next step', () => {
  const history = [
    ...ARRIVAL,
    { at: at(0), event: 'waiting', until: at(2000), detail: 'batch window' },
    { at: at(2040), event: 'planned', took_ms: 200, detail: '2 calls' },
    { at: at(2240), event: 'call', call: 1, took_ms: 400, status: 200, records: 500, shared_jobs: 3 },
    { at: at(2240), event: 'call', call: 2, took_ms: 180, status: 429, code: 'TOO_MANY_REQUESTS', records: 1 },
    { at: at(2420), event: 'throttled', call: 2, until: at(5420), detail: 'Retry-After' },
    { at: at(5450), event: 'call', call: 2, took_ms: 468, status: 200, records: 1 },
    { at: at(5918), event: 'finished', detail: 'succeeded', records: 501 },
    { at: at(5920), event: 'callback', attempt: 1, status: 503, took_ms: 260, host: 'ops.example.com' },
    { at: at(6180), event: 'waiting', until: at(11180), detail: 'receiver' },
    { at: at(11200), event: 'callback', attempt: 2, status: 204, took_ms: 140, host: 'ops.example.com' },
  ];
  assert.deepEqual(rows(history, { finished_at: at(5918), callback: { status: 'delivered' } }), [
    ['Received', '', -12, 0],
    ['Batch window', 'wait', 0, 2040],
    ['Prepared', '', 2040, 2240],
    ['Call 1', '', 2240, 2640],
    ['Call 2', 'bad', 2240, 2420],
    ['Throttled by Zoho', 'wait', 2420, 5450],
    ['Call 2', '', 5450, 5918],
    ['Finished', '', 5918, 5918],
    ['Callback', 'bad', 5920, 6180],
    ['Receiver', 'wait', 6180, 11200],
    ['Callback 2', 'cb', 11200, 11340],
  ]);
});

test('wait that goes on ends now', () => {
  const history = [...ARRIVAL, { at: at(0), event: 'waiting', until: at(300_000), detail: 'batch window' }];
  assert.deepEqual(rows(history, {}, 5_000)[1], ['Batch window', 'wait', 0, 5_000]);
  const callback = [
    { at: at(10), event: 'finished', detail: 'failed', code: 'INVALID_DATA' },
    { at: at(20), event: 'callback', attempt: 1, took_ms: 5, detail: 'connection refused' },
    { at: at(25), event: 'waiting', until: at(5_025), detail: 'receiver' },
  ];
  const job = { finished_at: at(10), callback: { status: 'pending' } };
  assert.deepEqual(rows(callback, job, 1_000).at(-1), ['Receiver', 'wait', 25, 1_000]);
});

test('polls in succession are one hatched row', () => {
  const history = [{ at: at(0), event: 'poll', call: 1, count: 12, took_ms: 900, status: 200, last_at: at(30_000) }];
  assert.deepEqual(rows(history), [['12 polls', 'wait', 0, 30_000]]);
});

test('empty, broken and unknown entries do no harm', () => {
  assert.deepEqual(waterfallRows({}, new Date(START)), []);
  assert.deepEqual(rows([{ at: 'x', event: 'call' }, { at: at(1), event: 'later_version', detail: 'y' }]), [['later_version', '', 1, 1]]);
});
