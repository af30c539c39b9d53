// Dead letters: grouped by code; replay one or all after mending, or discard.

import { el, fill, button, link, prose } from '../lib/element.js';
import { query as queryText } from '../lib/api.js';
import { number, time } from '../lib/time.js';

export const title = 'Dead letters';

/** Items of one call; the API takes no more. */
const MAX_ITEMS = 1000;

export function mount(root, context) {
  const place = el('div', { class: 'pad' });
  fill(root, place);

  async function load() {
    try {
      const answer = await context.api.get('dead-letters', {}, context.signal);
      fill(place, answer.groups.length ? answer.groups.map((group) => box(group, context, load)) : empty(context),
        answer.partial && el('p', { class: 'note' }, 'There are older dead letters that are not counted here.'));
    } catch (error) {
      if (!context.signal.aborted) fill(place, context.actions.failureBox(error), button('Try again', load));
    }
  }

  const boxes = () => [...place.querySelectorAll('.group')];
  const move = (step) => () => {
    const all = boxes();
    const at = all.indexOf(document.activeElement?.closest?.('.group'));
    const next = all[Math.max(0, Math.min(all.length - 1, at + step))];
    next?.querySelector('a')?.focus();
  };
  const unbind = context.keys.bind({
    j: { text: 'next group', run: move(1) },
    k: { text: 'previous group', run: move(-1) },
    r: {
      text: 'replay the group',
      run: () => {
        const group = document.activeElement?.closest?.('.group');
        const found = group?.querySelector('[data-key=r]');
        if (!found) return false;
        found.click();
        return true;
      },
    },
  });
  load();
  return unbind;
}

const empty = (context) => context.actions.emptyState('There is no dead letter.',
  el('p', 'A delivery becomes a dead letter if its mapping fails, its job fails, or its callback cannot be delivered. It keeps its body until you have mended the cause and replayed it, or discard it.'),
  el('p', 'From the command line:'),
  context.actions.commandLine('masshook deliveries list --outcome dead_letter'));

function box(group, context, reload) {
  const { actions, api } = context;
  const counted = `${number(group.count)} ${group.count === 1 ? 'delivery' : 'deliveries'}`;
  const bulk = (verb, done, { isDanger = false } = {}) => async (trigger) => {
    const command = `masshook deliveries ${verb} --all --code ${actions.quoted(group.code)}`;
    const isSure = await actions.confirm({
      title: `${verb[0].toUpperCase()}${verb.slice(1)} ${counted}?`,
      text: verb === 'replay'
        ? 'Each is mapped again with the config in use now. Mend the cause first: one that fails again stays here.'
        : 'Their bodies are deleted. They cannot be replayed after that.',
      verb: `${verb[0].toUpperCase()}${verb.slice(1)} ${number(group.count)}`,
      command,
      isDanger,
    });
    if (!isSure) return;
    const result = await actions.run(trigger, () => api.post(`deliveries/${verb}`, { filter: { code: group.code }, expected: group.count }), {
      done: (answer) => summary(answer, done), failed: `Nothing was ${done}`,
    });
    if (result) showFailures(result, actions);
    context.refreshStatus();
    reload();
  };
  // The records are updated, so only the callbacks are sent again.
  const isCallback = group.code === 'CALLBACK_UNDELIVERABLE';
  const replay = actions.actionButton(['Replay all ', el('b', number(group.count))], context, bulk('replay', 'replayed'), isCallback ? {} : { class: 'primary', data: { key: 'r' } });
  const discard = actions.actionButton('Discard all', context, bulk('discard', 'discarded', { isDanger: true }));
  const redeliver = isCallback && actions.actionButton(['Redeliver all ', el('b', number(group.count))], context, async (trigger) => {
    const isSure = await actions.confirm({ title: `Redeliver ${number(group.count)} ${group.count === 1 ? 'callback' : 'callbacks'}?`, text: 'Each is sent again under its original id. Mend the receiver first.', verb: `Redeliver ${number(group.count)}`, command: 'masshook jobs redeliver --all --status undeliverable' });
    if (!isSure) return;
    const result = await actions.run(trigger, () => api.post('jobs/redeliver', { filter: { status: 'undeliverable' }, expected: group.count }), { done: (answer) => summary(answer, 'sent again'), failed: 'Nothing was sent' });
    if (result) showFailures(result, actions);
    context.refreshStatus();
    reload();
  }, { class: 'primary', data: { key: 'r' } });
  const isTooMany = group.count > MAX_ITEMS;
  return el('section', { class: 'group card', 'aria-label': `${group.code}: ${counted}` },
    el('h2', el('span', { class: 'st bad' }, group.code), ' ', el('span', { class: 'muted' }, prose(group.title), ` · ${counted}`)),
    el('dl', { class: 'kv' },
      el('dt', 'Since'), el('dd', time(group.oldest), ' ', el('span', { class: 'faint' }, 'last ', time(group.newest, 'ago'))),
      el('dt', group.routes.length === 1 ? 'Route' : 'Routes'), el('dd', group.routes.map((name, at) => [at > 0 && ', ', link(`/routes/${encodeURIComponent(name)}`, name)])),
      el('dt', 'Latest'), el('dd', prose(group.reason)),
      group.advice && [el('dt', 'What to do'), el('dd', prose(group.advice))]),
    el('div', { class: 'actions' },
      link(`/deliveries${queryText({ outcome: 'dead_letter', code: group.code })}`, 'Show all'),
      group.sample && link(`/deliveries/${encodeURIComponent(group.sample)}`, 'Open one'),
      group.sample && group.routes.length > 0 && link(`/playground${queryText({ route: group.routes[0], delivery: group.sample })}`, 'Open in playground'),
      el('span', { class: 'grow' }), redeliver, !isCallback && replay, discard),
    isTooMany && el('p', { class: 'faint' }, `One call takes ${number(MAX_ITEMS)} at most; repeat it for the rest.`),
    actions.commandLine(isCallback ? 'masshook jobs redeliver --all --status undeliverable' : `masshook deliveries replay --all --code ${actions.quoted(group.code)}`));
}

const of = (answer, outcome) => (answer?.results || []).filter((result) => result.outcome === outcome).length;

function summary(answer, done) {
  const failed = of(answer, 'failed');
  const skipped = of(answer, 'skipped');
  const good = (answer?.results || []).length - failed - skipped;
  return [`${number(good)} ${done}`, failed && `${number(failed)} failed`, skipped && `${number(skipped)} skipped`, answer?.remaining > 0 && `${number(answer.remaining)} left: repeat it`].filter(Boolean).join(', ');
}

function showFailures(answer, actions) {
  const failed = (answer.results || []).filter((result) => result.outcome === 'failed' || result.outcome === 'skipped');
  if (!failed.length) return;
  const rows = failed.slice(0, 100).map((result) => el('tr', el('td', { class: 'mono' }, result.id), el('td', { class: 'wrap' }, result.reason || '')));
  actions.openDialog(`${number(failed.length)} could not be done`, [
    el('div', { class: 'boxed' }, el('table', el('thead', el('tr', el('th', { scope: 'col' }, 'Delivery'), el('th', { scope: 'col' }, 'Why'))), el('tbody', rows))),
    failed.length > 100 && el('p', { class: 'faint' }, `and ${number(failed.length - 100)} more`),
  ]);
}
