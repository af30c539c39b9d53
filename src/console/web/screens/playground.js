// The playground: run a route's programs, or edited ones, on an event. Nothing is sent, nothing is stored.

import { el, fill, button, link, prose } from '../lib/element.js';
import { createEditor } from '../lib/editor.js';
import { bytes, clockTime, duration, number } from '../lib/time.js';
import { state } from '../lib/state.js';

export const title = 'Playground';

/** The pause after the last key before the programs are run, in ms. */
const PAUSE = 200;

const NO_ROUTE = { name: '', when: [], map: '{ module: "Leads",\n  fields: { Rating: "Active" },\n  ids: [ .lead ] }', update_by: 'mass_update', samples: [], example_event: null };
const FIRST_EVENT = '{\n  "lead": "5725767000003000064"\n}';

/** The name of the route's own example among the samples. */
const EXAMPLE = 'event.json';

const counted = (count, what) => `${number(count)} ${what}${count === 1 ? '' : 's'}`;

export function mount(root, context) {
  const { actions, api, signal } = context;
  let route = NO_ROUTE;
  let names = [];
  let event = { kind: 'text', contentType: 'application/json', headers: {} };
  let when = [];
  let answer = null;
  let timer = null;
  let running = null;

  const bar = el('div', { class: 'chips' });
  const eventTools = el('span', { class: 'r' });
  const eventPane = el('div', { class: 'grow' });
  const whenPane = el('div');
  const mapTools = el('span', { class: 'r' });
  const notes = el('div', { class: 'notes' });
  const planTools = el('span', { class: 'r' });
  const planPane = el('div');
  const differenceTools = el('span', { class: 'r' });
  const differencePane = el('div');
  const summary = el('p', { class: 'sr', role: 'status', 'aria-live': 'polite' });
  const body = createEditor({ label: 'Event: body', language: 'json', rows: 8, input: () => { useText(); later(); } });
  const map = createEditor({ label: 'map, a jq program', language: 'jq', rows: 6, input: later });
  const updateBy = el('select', { 'aria-label': 'update_by: the kind of Zoho calls', on: { change: later } },
    ['mass_update', 'records', 'auto'].map((one) => el('option', { value: one }, one)));

  const pane = (name, head, ...content) => el('section', { class: 'pane', 'aria-label': name, tabindex: 0 }, head, content);
  const head = (name, ...tools) => el('h2', { class: 'h' }, name, tools);
  fill(root, bar, summary, el('div', { class: 'three' },
    pane('Event', head('Event', eventTools), eventPane),
    pane('Programs', head('when', button('Add an expression', () => { addExpression('', true); later(); }, { class: 'quiet r' })), whenPane,
      head('map', mapTools), map.node, el('label', { class: 'field' }, 'update_by ', updateBy), notes),
    pane('Result', head('Plan', planTools), planPane, head('Difference to the deployed route', differenceTools), differencePane)));

  /** The body is edited: from now on it is the event. */
  function useText() {
    if (event.kind !== 'text') event = { kind: 'text', contentType: event.contentType || 'application/json', headers: event.headers || {} };
    showBar();
  }

  function addExpression(source, isNew = false) {
    const at = when.length;
    const result = el('span', { class: 'r' });
    const editor = createEditor({ label: `when, expression ${at + 1}`, value: source, language: 'jq', input: later });
    const one = { editor, result };
    const remove = button('Remove', () => { when = when.filter((other) => other !== one); showWhen(); later(); }, { class: 'quiet', 'aria-label': `Remove expression ${at + 1}` });
    one.node = el('div', { class: 'expression' }, editor.node, el('div', { class: 'row' }, result, remove));
    when.push(one);
    showWhen();
    if (isNew) editor.area.focus();
  }

  function showWhen() {
    fill(whenPane, when.length ? when.map((one) => one.node) : el('p', { class: 'hint-line muted' }, 'Without an expression, every delivery is mapped.'));
  }

  function showPrograms() {
    when = [];
    for (const source of route.when) addExpression(source);
    showWhen();
    map.value = route.map;
    updateBy.value = route.update_by;
  }

  function choose(query) {
    const parameters = new URLSearchParams(Object.entries(query).filter(([, value]) => value));
    context.navigate(`/playground${parameters.size ? `?${parameters}` : ''}`);
  }

  async function showBar() {
    const samples = route.samples.map((sample) => [`sample:${sample.name}`, `sample: ${sample.name}`]);
    if (route.example_event) samples.unshift([`sample:${EXAMPLE}`, `example: ${EXAMPLE}`]);
    const stored = (event.stored || []).map((one) => [`delivery:${one.id}`, `${clockTime(new Date(one.received_at))} ${one.id.slice(0, 12)} ${one.dead_letter ? 'dead letter' : one.outcome}`]);
    const current = event.kind === 'text' ? '' : `${event.kind}:${event.id}`;
    if (event.kind === 'delivery' && !stored.some(([key]) => key === current)) stored.unshift([current, `delivery ${event.id.slice(0, 16)}`]);
    fill(bar,
      actions.choice('Route', [['', 'no route'], ...names.map((name) => [name, name])], route.name, (name) => choose({ route: name })),
      actions.choice('Event', [['', 'edited or pasted'], ...samples, ...stored], current, (key) => {
        const [kind, ...id] = key.split(':');
        choose({ route: route.name, [kind || 'text']: key ? id.join(':') : '1' });
      }),
      el('span', { class: 'muted hide-s' }, 'Nothing is sent, nothing is stored.'),
      el('span', { class: 'row push' },
        button('Reset', () => { showPrograms(); later(); }, { class: 'quiet', title: 'Back to the deployed programs' }),
        actions.copyButton(() => answer?.yaml || '', 'Copy YAML'),
        route.samples.length > 0 && actions.actionButton('Send a sample', context, sendSample, { class: 'primary', title: 'Delivers a signed sample to this server, for real' })));
  }

  async function sendSample(trigger) {
    const sample = event.kind === 'sample' && event.id !== EXAMPLE ? event.id : route.samples[0].name;
    await actions.run(trigger, () => api.post(`routes/${encodeURIComponent(route.name)}/sample`, { sender: sample }), {
      done: (sent) => `The server answered ${sent.status}${sent.jobs?.length ? `: ${counted(sent.jobs.length, 'job')}` : ''}`, failed: 'Not sent',
    });
  }

  /** The event pane. A stored body is personal data, so it is behind a button. */
  function showEvent() {
    if (event.kind === 'delivery' && event.text === undefined) {
      fill(eventPane, el('div', { class: 'hint-line' },
        el('p', 'The stored delivery ', link(`/deliveries/${encodeURIComponent(event.id)}`, el('code', event.id)), ' is run as it is.'),
        el('p', { class: 'muted' }, 'Its body may contain personal data.'),
        button('Show the body and edit it', showBody)));
    } else {
      fill(eventPane, body.node);
    }
  }

  async function showBody(click) {
    await actions.run(click.currentTarget, async () => {
      event.text = await api.text(`deliveries/${encodeURIComponent(event.id)}/body`, signal);
      body.value = pretty(event.text);
      showEvent();
      body.area.focus();
    }, { failed: 'The body cannot be shown' });
  }

  function later() {
    clearTimeout(timer);
    timer = setTimeout(run, PAUSE);
  }

  function request() {
    const config = { when: when.map((one) => one.editor.value).filter((source) => source.trim()), map: map.value, update_by: updateBy.value };
    const base = { ...(route.name && { route: route.name }), config };
    if (event.kind === 'delivery') return { ...base, delivery: event.id };
    if (event.kind === 'sample' && event.id !== EXAMPLE) return { ...base, sample: event.id };
    return { ...base, text: body.value, headers: { ...event.headers, 'content-type': event.contentType } };
  }

  /** Runs the programs. An answer that is no longer wanted is dropped, and its run is cancelled at the server. */
  async function run() {
    running?.abort();
    const own = new AbortController();
    running = own;
    root.setAttribute('aria-busy', 'true');
    try {
      const result = await api.post('playground', request(), own.signal);
      if (running !== own) return;
      answer = result;
      show();
    } catch (error) {
      if (own.signal.aborted || signal.aborted) return;
      answer = null;
      fill(planTools);
      fill(planPane, el('div', { class: 'hint-line' }, actions.failureBox(error)));
      fill(differenceTools);
      fill(differencePane);
    } finally {
      if (running === own) root.removeAttribute('aria-busy');
    }
  }

  const message = (one, kind) => el('p', { class: `message ${kind}` },
    one.line && el('span', { class: 'faint' }, `line ${one.line}, column ${one.column}: `), prose(one.message),
    one.pointer && el('code', ` ${one.pointer}`), one.hint && el('b', ' ', prose(one.hint)),
    one.input && el('span', { class: 'faint' }, ` on the input ${one.input}`));

  function mark(editor, key) {
    const errors = answer.errors.filter((one) => one.program === key);
    const hints = answer.hints.filter((one) => one.program === key);
    editor.show([...errors, ...hints.map((one) => ({ ...one, kind: 'hint' }))],
      errors.map((one) => message(one, 'bad')), hints.map((one) => message(one, 'warn')));
    return errors.length > 0;
  }

  function show() {
    fill(eventTools, [answer.event.content_type, bytes(answer.event.bytes)].filter(Boolean).join(', '));
    mark(body, 'body');
    const sources = when.filter((one) => one.editor.value.trim());
    for (const one of when) fill(one.result);
    answer.when.forEach((result, at) => {
      const one = sources[at];
      if (!one) return;
      const isBad = mark(one.editor, result.key) || result.error;
      if (result.error && !answer.errors.some((error) => error.program === result.key)) one.editor.show([result.error], message(result.error, 'bad'));
      fill(one.result, isBad ? state('bad', 'fails') : result.result ? state('ok', 'holds') : state('off', 'is false'),
        result.values.length > 0 && el('ul', { class: 'values' }, result.values.map((value) => el('li', el('code', value.path), ' is ', el('code', value.value)))));
    });
    const fails = mark(map, 'map');
    fill(mapTools, fails ? state('bad', 'fails') : `jq, ${duration(answer.took_ms)}`);
    fill(notes, answer.note && el('p', { class: 'note' }, answer.note));
    showPlan();
    showDifference();
    const text = answer.error ? `Fails: ${answer.error.message}` : answer.ignored ? `Ignored: ${answer.ignored}` : planText();
    if (summary.textContent !== text) summary.textContent = text;
  }

  function planText() {
    const { plan } = answer;
    if (!plan) return 'no update request';
    const atMost = plan.lookups.length ? 'at most ' : '';
    const credits = plan.credits === null ? 'credits not documented' : counted(plan.credits, 'credit');
    return `${atMost}${counted(plan.calls_at_most, 'call')}, ${credits}`;
  }

  function showPlan() {
    const { plan } = answer;
    if (!plan) {
      fill(planTools, '');
      const reason = answer.error
        ? [state('bad', 'no plan'), el('p', { class: 'muted' }, 'See the error at its program.')]
        : [state('off', 'ignored'), el('p', { class: 'muted' }, `${answer.ignored || 'There is no update request'}, so the delivery is answered with 200 and no job is made.`)];
      fill(planPane, el('div', { class: 'hint-line' }, reason));
      return;
    }
    fill(planTools, planText());
    fill(planPane,
      el('ol', { class: 'calls' }, plan.calls.map((call) => el('li',
        el('div', el('span', { class: 'c' }, `${call.seq} `), el('b', call.method), ` ${call.path}`, call.records !== null && el('span', { class: 'faint' }, ` ${counted(call.records, 'record')}`)),
        el('pre', JSON.stringify(call.body))))),
      plan.calls_omitted > 0 && el('p', { class: 'hint-line muted' }, `… ${counted(plan.calls_omitted, 'more call')}`),
      plan.lookups.map((one) => el('p', { class: 'hint-line' }, prose(one.text))),
      el('ul', { class: 'hint-line muted plan-notes' }, plan.notes.map((note) => el('li', prose(note))), plan.methods.map((one) => el('li', prose(one.text)))),
      el('details', { class: 'hint-line' }, el('summary', counted(answer.requests.length + answer.requests_omitted, 'update request')),
        el('pre', answer.requests.map((one) => JSON.stringify(one, null, 2)).join('\n'))));
  }

  function showDifference() {
    const entries = answer.difference;
    if (!entries) {
      fill(differenceTools);
      fill(differencePane, el('p', { class: 'hint-line muted' }, 'Choose a route to compare with what it does now.'));
      return;
    }
    const changes = entries.filter((one) => one.op !== 'same').length;
    fill(differenceTools, changes ? counted(changes, 'change') : answer.edited ? 'the result is the same' : 'not edited');
    const sign = { add: '+', remove: '-', change: '~', same: ' ' };
    const text = (value) => (value === undefined ? '' : JSON.stringify(value));
    const line = (symbol, kind, path, value, extra) => el('span', { class: `line ${kind}` }, el('span', { class: 'sr' }, { '+': 'added ', '-': 'removed ', ' ': '' }[symbol]), `${symbol} ${path}  ${text(value)}`, extra && el('span', { class: 'faint' }, extra));
    fill(differencePane, el('pre', { class: 'difference' }, entries.map((one) => {
      const path = one.path || '/';
      if (one.op !== 'change') return line(sign[one.op], { add: 'add', remove: 'del', same: '' }[one.op], path, one.op === 'remove' ? one.from : one.to);
      const extra = one.added !== undefined ? `  ${one.added} added, ${one.removed} removed` : '';
      return [line('-', 'del', path, one.from), line('+', 'add', path, one.to, extra)];
    }), answer.difference_omitted > 0 && el('span', { class: 'line faint' }, `  … ${number(answer.difference_omitted)} more`)));
  }

  async function loadRoute(name) {
    if (!name) return NO_ROUTE;
    const found = await api.get(`routes/${encodeURIComponent(name)}`, {}, signal);
    return { ...NO_ROUTE, ...found };
  }

  async function openEvent(query, found) {
    const samples = found.example_event ? [{ ...found.example_event, name: EXAMPLE }, ...found.samples] : found.samples;
    const sample = (name) => samples.find((one) => one.name === name);
    let stored = [];
    if (found.name) {
      const page = await api.get('deliveries', { route: found.name, limit: 15 }, signal).catch(() => null);
      stored = page?.deliveries || [];
    }
    if (query.delivery) return { kind: 'delivery', id: query.delivery, stored };
    const first = query.text ? null : sample(query.sample) || samples[0];
    if (!first) {
      const edited = { kind: 'text', contentType: event.contentType || 'application/json', headers: {}, stored };
      if (!body.value) body.value = FIRST_EVENT;
      return edited;
    }
    body.value = pretty(first.body);
    return { kind: 'sample', id: first.name, contentType: first.content_type, headers: first.headers, stored, text: first.body };
  }

  async function open(query) {
    try {
      if (!names.length) {
        const all = await api.get('routes', {}, signal);
        names = all.routes.map((one) => one.name);
      }
      let wanted = query.route ?? (query.text ? '' : names[0] || '');
      if (query.delivery && !query.route) wanted = (await api.get(`deliveries/${encodeURIComponent(query.delivery)}`, {}, signal)).route;
      // The route of a stored delivery may be gone from the config.
      if (!names.includes(wanted)) wanted = '';
      const next = wanted === route.name && route !== NO_ROUTE ? route : await loadRoute(wanted);
      const isOther = next !== route || !map.value;
      event = await openEvent(query, next);
      route = next;
      if (isOther) showPrograms();
      await showBar();
      showEvent();
      run();
    } catch (error) {
      if (!signal.aborted) fill(planPane, el('div', { class: 'hint-line' }, actions.failureBox(error), button('Try again', () => open(query))));
    }
  }

  const unbind = context.keys.bind({
    e: { text: 'edit the map', run: () => map.area.focus() },
    y: { text: 'copy as YAML', run: () => { bar.querySelectorAll('button')[1]?.click(); } },
  });
  open(context.query);
  return {
    update: ({ query }) => open(query),
    unmount() {
      unbind();
      clearTimeout(timer);
      running?.abort();
    },
  };
}

/** JSON with indentation; any other text as it is. Numbers keep their digits, so a text with long ones stays as it is. */
function pretty(text) {
  if (text.length > 200000 || /[^"\d.\w-]-?\d{16,}/.test(text) || /\d[.eE]\d/.test(text)) return text;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
