// Routes: the URL for the sender, what its signature proves, what check finds, the last delivery, an example.

import { el, fill, button, link, prose } from '../lib/element.js';
import { bytes, time } from '../lib/time.js';
import { deliveryState, state } from '../lib/state.js';

export const title = 'Routes';

const SEVERITY = { bad: 'bad', note: 'warn', ok: 'ok' };

export function mount(root, context) {
  const { actions, api, signal } = context;
  const place = el('div', { class: 'split' });
  const box = el('div', { class: 'list-box' });
  const detail = el('section', { class: 'detail', 'aria-label': 'Route', hidden: true });
  fill(root, place);
  fill(place, box, detail);
  let routes = [];
  let current = context.params.id;
  const path = (name) => `/routes/${encodeURIComponent(name)}`;

  async function load() {
    try {
      ({ routes } = await api.get('routes', {}, signal));
      showList();
      if (current) await open(current);
    } catch (error) {
      if (!signal.aborted) fill(box, el('div', { class: 'pad' }, actions.failureBox(error), button('Try again', load)));
    }
  }

  function showList() {
    if (!routes.length) {
      fill(box, actions.emptyState('The config has no route.',
        el('p', 'A route verifies the deliveries of one sender and maps them to updates. Copy one from ', el('code', 'examples/routes'), ' into the config, or run:'),
        actions.commandLine('masshook dev')));
      return;
    }
    fill(box, el('table', { class: 'list' }, el('caption', { class: 'sr' }, 'Routes'),
      el('thead', el('tr', el('th', { scope: 'col' }, 'Route'), el('th', { scope: 'col' }, 'Check'), el('th', { scope: 'col', class: 'hide-open hide-s' }, 'Sender'), el('th', { scope: 'col' }, 'Last delivery'))),
      el('tbody', routes.map((one) => el('tr', { class: one.name === current ? 'sel' : null, on: { click: (event) => { if (!event.target.closest('a,button')) context.navigate(path(one.name)); } } },
        el('td', el('a', { href: `#${path(one.name)}`, class: 'open' }, one.name)),
        el('td', check(one.findings)),
        el('td', { class: 'hide-open hide-s' }, one.is_open ? state('warn', 'anybody') : one.senders.join(', ') || 'AWS'),
        el('td', one.last ? [time(one.last.received_at), ' ', deliveryState(one.last)] : el('span', { class: 'faint' }, 'none yet')))))));
  }

  function check(findings) {
    const worst = ['bad', 'note'].find((severity) => findings.some((one) => one.severity === severity));
    if (!worst) return state('ok', 'fine');
    const count = findings.filter((one) => one.severity === worst).length;
    return state(SEVERITY[worst], `${count} ${worst === 'bad' ? 'problem' : 'note'}${count === 1 ? '' : 's'}`);
  }

  async function open(name) {
    current = name;
    place.classList.toggle('open', Boolean(name));
    detail.hidden = !name;
    if (routes.length) showList();
    if (!name) return;
    try {
      const one = await api.get(`routes/${encodeURIComponent(name)}`, {}, signal);
      if (current === name) fill(detail, ...content(one));
    } catch (error) {
      if (!signal.aborted && current === name) fill(detail, actions.failureBox(error), link('/routes', '← All routes'));
    }
  }

  function content(one) {
    const [sample] = one.samples;
    const send = sample && actions.actionButton('Send a sample', context, (trigger) => actions.run(trigger,
      () => api.post(`routes/${encodeURIComponent(one.name)}/sample`, { sender: sample.name }), {
        done: (sent) => { open(one.name); return `The server answered ${sent.status}`; }, failed: 'Not sent',
      }), { class: 'primary' });
    return [
      el('a', { href: '#/routes', class: 'back' }, '← All routes'),
      el('h2', one.name, check(one.findings)),
      el('h3', 'URL to paste at the sender'),
      one.listens_to_http
        ? el('div', { class: 'cli plain-line' }, el('code', one.url), actions.copyButton(one.url))
        : el('p', { class: 'muted' }, `AWS delivers to this route: ${one.on.join(', ')}.`),
      one.listens_to_http && el('p', { class: 'faint' }, `${one.http_methods.join(', ')}. ${one.url_note}`),
      el('h3', 'What its signature proves'),
      el('p', prose(one.verify)),
      el('h3', 'What check finds'),
      one.findings.length
        ? el('ul', { class: 'steps' }, one.findings.map((finding) => el('li', el('span', { class: finding.severity === 'bad' ? 'cross' : 'tick', 'aria-hidden': 'true' }, finding.severity === 'bad' ? '✕' : finding.severity === 'note' ? '!' : '✓'), el('span', prose(finding.text)), el('span', { class: 'sr' }, finding.severity))))
        : el('p', { class: 'muted' }, 'Nothing.'),
      actions.commandLine('masshook check'),
      el('h3', 'Last delivery'),
      one.last
        ? el('p', link(`/deliveries/${encodeURIComponent(one.last.id)}`, el('code', one.last.id.slice(0, 16))), ' ', time(one.last.received_at, 'ago'), ' ', deliveryState(one.last))
        : el('p', { class: 'muted' }, 'None yet.'),
      el('div', { class: 'actions' }, send, el('a', { href: `#/playground?route=${encodeURIComponent(one.name)}`, class: 'btn' }, 'Open in the playground'), el('a', { href: `#/deliveries?route=${encodeURIComponent(one.name)}`, class: 'btn' }, 'Its deliveries')),
      one.commands.map((command) => actions.commandLine(command)),
      el('h3', 'Config'),
      el('pre', { tabindex: 0, 'aria-label': 'Config of the route' }, one.example), actions.copyButton(one.example, 'Copy YAML'),
      one.samples.length > 0 && [el('h3', 'Samples'), el('ul', { class: 'samples' }, one.samples.map((other) => el('li',
        link(`/playground?route=${encodeURIComponent(one.name)}&sample=${encodeURIComponent(other.name)}`, other.name), el('span', { class: 'faint' }, ` ${other.content_type}, ${bytes(other.body.length)}`))))],
    ];
  }

  const move = (step) => () => {
    const links = [...box.querySelectorAll('a.open')];
    const at = links.indexOf(document.activeElement);
    links[Math.max(0, Math.min(links.length - 1, at + step))]?.focus();
  };
  const unbind = context.keys.bind({
    j: { text: 'next route', run: move(1) },
    k: { text: 'previous route', run: move(-1) },
    Enter: { text: 'open the route', run: () => { if (!document.activeElement?.matches('a.open')) return false; document.activeElement.click(); return true; } },
    Escape: { text: 'close the route', run: () => { if (!current) return false; context.navigate('/routes'); return true; } },
  });
  load();
  return { update: ({ params }) => open(params.id), unmount: unbind };
}
