// The shell: sign-in, navigation, header, router, keys. Screens are modules of their own in `screens/`.

import { el, fill, svg, button, link } from './lib/element.js';
import { createApi, Problem } from './lib/api.js';
import * as actions from './lib/actions.js';
import * as keys from './lib/keys.js';
import { clockTime, nextTimeMode, number, timeMode } from './lib/time.js';

const TOKEN = 'masshook.token';
const THEME = 'masshook.theme';
const STATUS_INTERVAL = 10000;

/** Screens: path, name, module, and the count of the status beside the name. */
const SCREENS = [
  { path: 'overview', name: 'Overview', load: () => import('./screens/overview.js') },
  { path: 'deliveries', name: 'Deliveries', load: () => import('./screens/deliveries.js'), search: true },
  { path: 'jobs', name: 'Jobs', load: () => import('./screens/jobs.js'), detail: () => import('./screens/job.js'), search: true },
  { path: 'dead-letters', name: 'Dead letters', load: () => import('./screens/dead-letters.js'), count: 'dead_letters', isBad: true },
  null,
  { path: 'playground', name: 'Playground', load: () => import('./screens/playground.js') },
  { path: 'routes', name: 'Routes', load: () => import('./screens/routes.js') },
  { path: 'connections', name: 'Connections', load: () => import('./screens/connections.js') },
];
const HOME = 'deliveries';

/** Reads `#/jobs/job_1?status=failed`. */
function parseHash(hash) {
  const [path, search = ''] = hash.replace(/^#\/?/, '').split('?');
  const [screen = '', ...rest] = path.split('/').filter(Boolean).map((part) => {
    try { return decodeURIComponent(part); } catch { return part; }
  });
  return { screen: screen || HOME, id: rest.join('/') || null, query: Object.fromEntries(new URLSearchParams(search)) };
}

/** Takes the token out of the address and keeps it for this tab. */
function takeToken() {
  const match = /^#token=([^&]*)/.exec(location.hash);
  if (!match) return;
  sessionStorage.setItem(TOKEN, decodeURIComponent(match[1]));
  history.replaceState(null, '', `${location.pathname}${location.search}#/${HOME}`);
}

const token = () => sessionStorage.getItem(TOKEN) || '';

function applyTheme(theme) {
  if (theme === 'auto') document.documentElement.removeAttribute('data-theme');
  else document.documentElement.dataset.theme = theme;
}

// The parts of the page.
const logo = () => svg('svg', { viewBox: '0 0 20 20', fill: 'none', stroke: 'currentColor', 'stroke-width': 2, 'stroke-linecap': 'round', 'aria-hidden': 'true' },
  svg('path', { d: 'M3 4v7a4 4 0 0 0 8 0V9M11 9l-2.5 2.5M11 9l2.5 2.5M17 4v12' }));
const counts = new Map();
const navLinks = new Map();
const heading = el('h1', { tabindex: -1 });
const headerTools = el('div', { class: 'tools' });
const live = el('span', { class: 'live', hidden: true }, el('i', { 'aria-hidden': 'true' }), 'live');
const root = el('div', { class: 'screen', id: 'screen' });
const announcer = el('div', { class: 'sr', role: 'status', 'aria-live': 'polite' });
const banner = el('div', { class: 'banners' });
const foot = el('div', { class: 'foot' });
const searchBox = el('input', { type: 'search', id: 'search', placeholder: 'Search id, route, reference', 'aria-label': 'Search id, route or reference', autocomplete: 'off', spellcheck: 'false', 'aria-keyshortcuts': '/' });
const timeButton = button('', () => switchTime(), { class: 'quiet', 'aria-keyshortcuts': 't' });
const themeButton = button('', () => switchTheme(), { class: 'quiet' });

/** Reads a text to users of screen readers. */
function announce(text) {
  announcer.textContent = '';
  setTimeout(() => { announcer.textContent = text; }, 50);
}

function switchTime() {
  const mode = nextTimeMode();
  showSwitches();
  announce(`Times are shown as ${{ local: 'local time', utc: 'UTC', relative: 'time that has passed' }[mode]}`);
}

function switchTheme() {
  const order = ['auto', 'light', 'dark'];
  const theme = order[(order.indexOf(localStorage.getItem(THEME) || 'auto') + 1) % order.length];
  localStorage.setItem(THEME, theme);
  applyTheme(theme);
  showSwitches();
}

function showSwitches() {
  const theme = localStorage.getItem(THEME) || 'auto';
  fill(timeButton, el('span', { class: 'sr' }, 'Times: '), { local: 'Local', utc: 'UTC', relative: 'Ago' }[timeMode()]);
  fill(themeButton, el('span', { class: 'sr' }, 'Theme: '), { auto: 'Auto', light: 'Light', dark: 'Dark' }[theme]);
  timeButton.title = 'Local time, UTC, or time that has passed (t)';
  themeButton.title = 'Light, dark, or as the system';
}

function nav() {
  const list = SCREENS.map((screen) => {
    if (!screen) return el('li', { class: 'sep', 'aria-hidden': 'true' });
    const count = el('span', { class: 'n' });
    if (screen.count) counts.set(screen.count, { node: count, isBad: screen.isBad, name: screen.name });
    const anchor = link(`/${screen.path}`, screen.name, count);
    navLinks.set(screen.path, anchor);
    return el('li', anchor);
  });
  return el('nav', { 'aria-label': 'Screens' },
    el('div', { class: 'brand' }, logo(), el('span', 'masshook')), el('ul', list), foot);
}

const app = {
  status: null,
  isReadOnly: () => Boolean(app.status?.read_only),
  current: null,
};

const api = createApi({ token, onState: showConnection });

let isOffline = false;
function showConnection(state) {
  if (state === 'unauthorized') return signIn(token() ? 'The token is not valid any more: the console has been restarted, or the key was changed.' : '');
  const offline = state === 'offline';
  if (offline !== isOffline) {
    isOffline = offline;
    announce(offline ? 'The console does not answer. Trying again.' : 'The console answers again.');
    showBanners();
  }
  return undefined;
}

function showBanners() {
  const problems = app.status?.config?.problems || [];
  fill(banner,
    isOffline && el('p', { class: 'banner bad', role: 'alert' }, el('b', 'No connection. '), 'The console does not answer; the page tries again by itself. Is ', el('code', 'masshook'), ' still running?'),
    problems.length > 0 && el('div', { class: 'banner warn' }, el('b', 'The edited config is not in use. '), 'The one before it stays. ',
      el('ul', problems.map((problem) => el('li', { class: 'mono' }, problem)))),
    app.isReadOnly() && el('p', { class: 'banner' }, el('b', 'Read-only. '), 'Buttons that change something are off; the command line beside each still works.'));
}

async function refreshStatus() {
  const status = await api.get('status');
  app.status = status;
  actions.setReach(status.cli_args);
  for (const [key, { node, isBad, name }] of counts) {
    const count = status.counts?.[key];
    node.textContent = !count ? '' : number(count);
    node.classList.toggle('bad', Boolean(isBad && count));
    node.title = node.textContent && `${node.textContent} ${name.toLowerCase()}`;
  }
  const store = { sqlite: 'SQLite', dynamodb: 'DynamoDB' }[status.store] || status.store;
  const file = status.config?.path?.split('/').pop();
  fill(foot, `masshook ${status.version} · ${store}`, el('br'),
    file && el('span', { title: status.config.path }, `${file}, loaded ${clockTime(new Date(status.config.loaded_at))}`), file && el('br'),
    el('button', { type: 'button', class: 'plain-button', on: { click: showKeys } }, el('kbd', '?'), ' keys'));
  showBanners();
}

// The router.
let mounted = null;
let serial = 0;

function unmount() {
  mounted?.abort.abort();
  try { mounted?.unmount?.(); } finally { mounted = null; }
}

function navigate(path) {
  if (location.hash === `#${path}`) show();
  else location.hash = path;
}

async function show() {
  const { screen: name, id, query } = parseHash(location.hash);
  const screen = SCREENS.find((other) => other?.path === name);
  for (const [path, anchor] of navLinks) {
    if (path === name) anchor.setAttribute('aria-current', 'page'); else anchor.removeAttribute('aria-current');
  }
  const load = id && screen?.detail ? screen.detail : screen?.load;
  searchBox.value = query.q || '';
  if (mounted?.load === load && mounted?.update) {
    mounted.update({ params: { id }, query });
    return;
  }
  const isFirst = !mounted && serial === 0;
  serial += 1;
  const own = serial;
  unmount();
  live.hidden = true;
  headerTools.replaceChildren();
  root.replaceChildren();
  if (!load) {
    heading.textContent = 'Not found';
    fill(root, actions.emptyState('There is no such screen.', [link(`/${HOME}`, 'Go to the deliveries')]));
    return;
  }
  let module;
  try {
    module = await load();
  } catch (error) {
    if (own === serial) fill(root, actions.failureBox(error, 'The screen could not be loaded; reload the page.'));
    return;
  }
  if (own !== serial) return;
  heading.textContent = module.title;
  document.title = `${module.title} · masshook`;
  if (!isFirst) heading.focus({ preventScroll: true });
  window.scrollTo(0, 0);
  const abort = new AbortController();
  mounted = { load, abort };
  const context = {
    api,
    params: { id },
    query,
    navigate,
    announce,
    keys,
    actions,
    status: () => app.status,
    isReadOnly: app.isReadOnly,
    refreshStatus: () => refreshStatus().catch(() => {}),
    signal: abort.signal,
    /** Replaces the heading. */
    setTitle: (text) => { heading.textContent = text; document.title = `${text} · masshook`; },
    /** Puts elements at the right of the header. */
    setTools: (...nodes) => fill(headerTools, ...nodes),
    /** Shows whether the screen follows new entries. */
    setLive: (isLive) => { live.hidden = !isLive; },
  };
  const result = module.mount(root, context);
  if (typeof result === 'function') mounted.unmount = result;
  else Object.assign(mounted, result);
}

function search(text) {
  const { screen: name, query } = parseHash(location.hash);
  const wanted = text.trim();
  const found = /^(job|dlv)_\w{6,}$/.exec(wanted);
  if (found) return navigate(`/${found[1] === 'job' ? 'jobs' : 'deliveries'}/${encodeURIComponent(wanted)}`);
  const target = SCREENS.find((screen) => screen?.path === name)?.search ? name : 'jobs';
  const parameters = new URLSearchParams(target === name ? query : {});
  if (wanted) parameters.set('q', wanted); else parameters.delete('q');
  return navigate(`/${target}${parameters.size ? `?${parameters}` : ''}`);
}

function showKeys() {
  const rows = keys.bound().map(([key, text]) => el('tr', el('td', el('kbd', key)), el('td', text)));
  actions.openDialog('Keys', [
    el('table', { class: 'keys' }, el('thead', { class: 'sr' }, el('tr', el('th', 'Key'), el('th', 'What it does'))), el('tbody', rows)),
    el('p', { class: 'muted' }, 'Tab goes through links and buttons, Enter opens.'),
  ]);
}

function bindKeys() {
  const screens = SCREENS.filter(Boolean);
  const numbers = Object.fromEntries(screens.map((screen, at) => [String(at + 1), { text: screen.name, run: () => navigate(`/${screen.path}`) }]));
  keys.bind({
    '?': { text: 'show the keys', run: showKeys },
    '/': { text: 'search', run: () => { searchBox.focus(); searchBox.select(); } },
    t: { text: 'local time, UTC, time that has passed', run: switchTime },
    ...numbers,
  });
}

function signIn(why) {
  if (document.querySelector('.sign-in')) return;
  serial += 1;
  statusLoop?.abort();
  unmount();
  const input = el('input', { type: 'password', id: 'token', autocomplete: 'off', spellcheck: 'false', required: true, 'aria-describedby': 'token-help' });
  const enter = (event) => {
    event.preventDefault();
    // A whole address is taken too.
    const text = input.value.trim().replace(/^.*#token=/, '');
    if (!text) return;
    sessionStorage.setItem(TOKEN, text);
    start();
  };
  fill(document.body, el('main', { class: 'sign-in' },
    el('div', { class: 'brand' }, logo(), el('span', 'masshook')),
    el('h1', 'Open the console'),
    why && el('p', { class: 'banner bad', role: 'alert' }, why),
    el('p', { id: 'token-help' }, 'Paste the token, or the whole address, that ', el('code', 'masshook'), ' printed when it started. If the config has ', el('code', 'console.key'), ', paste that key.'),
    el('form', { on: { submit: enter } },
      el('label', { for: 'token' }, 'Token'), input,
      el('button', { type: 'submit', class: 'btn primary' }, 'Open')),
    el('p', { class: 'faint' }, 'It stays in this tab, and is forgotten when the tab is closed.')));
  input.focus();
}

let statusLoop = null;
function start() {
  statusLoop?.abort();
  statusLoop = new AbortController();
  fill(document.body,
    el('a', { href: '#screen', class: 'skip', on: { click: (event) => { event.preventDefault(); heading.focus(); } } }, 'Skip to content'),
    nav(),
    el('main',
      el('header', { class: 'top' }, heading, live,
        el('form', { class: 'search', role: 'search', on: { submit: (event) => { event.preventDefault(); search(searchBox.value); searchBox.blur(); } } }, searchBox, el('kbd', { 'aria-hidden': 'true' }, '/')),
        headerTools, el('div', { class: 'switches' }, timeButton, themeButton)),
      banner, root),
    announcer, actions.toasts);
  showSwitches();
  const { signal } = statusLoop;
  // Screens depend on the status: whether the console is read-only, and the server's address.
  refreshStatus().catch(() => {}).finally(() => {
    if (signal.aborted || document.querySelector('.sign-in')) return;
    show();
    api.repeat(refreshStatus, STATUS_INTERVAL, signal);
  });
}

window.addEventListener('hashchange', () => {
  if (location.hash.startsWith('#token=')) {
    takeToken();
    start();
  } else if (!document.querySelector('.sign-in')) {
    show();
  }
});

window.addEventListener('unhandledrejection', (event) => {
  if (event.reason instanceof Problem || event.reason?.name === 'AbortError' || event.reason?.name === 'Unreachable') event.preventDefault();
});

applyTheme(localStorage.getItem(THEME) || 'auto');
takeToken();
bindKeys();
if (token()) start(); else signIn('');
