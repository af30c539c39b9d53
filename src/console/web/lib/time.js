// Times and durations as text.

const KEY = 'masshook.time';
const MODES = ['local', 'utc', 'relative'];
let mode = MODES.includes(localStorage.getItem(KEY)) ? localStorage.getItem(KEY) : 'local';

export const timeMode = () => mode;

/** Switches between local time, UTC and time that has passed; shown times change at once. */
export function nextTimeMode() {
  mode = MODES[(MODES.indexOf(mode) + 1) % MODES.length];
  localStorage.setItem(KEY, mode);
  refreshTimes();
  return mode;
}

const two = (number) => String(number).padStart(2, '0');
const three = (number) => String(number).padStart(3, '0');
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

function parts(date, utc) {
  return utc
    ? [date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate(), date.getUTCHours(), date.getUTCMinutes(), date.getUTCSeconds(), date.getUTCMilliseconds()]
    : [date.getFullYear(), date.getMonth(), date.getDate(), date.getHours(), date.getMinutes(), date.getSeconds(), date.getMilliseconds()];
}

/** `14:02:31`, with the day if it is another one, and with milliseconds if `precise`. */
export function clockTime(date, { utc = mode === 'utc', precise = false, now = new Date() } = {}) {
  const [year, month, day, hour, minute, second, milli] = parts(date, utc);
  const [thisYear, thisMonth, thisDay] = parts(now, utc);
  const clock = `${two(hour)}:${two(minute)}:${two(second)}${precise ? `.${three(milli)}` : ''}`;
  if (year !== thisYear) return `${day} ${MONTHS[month]} ${year} ${clock}`;
  return month === thisMonth && day === thisDay ? clock : `${day} ${MONTHS[month]} ${clock}`;
}

/** `29 s ago`, `in 3 min`. */
export function ago(date, now = new Date()) {
  const seconds = Math.round((now - date) / 1000);
  const size = Math.abs(seconds);
  if (size < 2) return 'just now';
  const [amount, unit] = size < 90 ? [size, 's'] : size < 5400 ? [Math.round(size / 60), 'min']
    : size < 129600 ? [Math.round(size / 3600), 'h'] : [Math.round(size / 86400), 'd'];
  return seconds < 0 ? `in ${amount} ${unit}` : `${amount} ${unit} ago`;
}

/** Three digits: `0.31 ms`, `31 ms`, `2.04 s`, `3 min 20 s`. */
export function duration(milliseconds) {
  if (milliseconds === null || milliseconds === undefined) return '';
  const ms = Number(milliseconds);
  if (ms < 1) return ms === 0 ? '< 1 ms' : `${ms.toFixed(2)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 10000) return `${(ms / 1000).toFixed(2)} s`;
  if (ms < 90000) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 5400) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
}

/** `1,200`. */
export const number = (value) => (value === null || value === undefined ? '' : Number(value).toLocaleString('en-US'));

/** `315 B`, `1.4 KB`. */
export function bytes(count) {
  if (count === null || count === undefined) return '';
  if (count < 1000) return `${count} B`;
  return count < 1e6 ? `${(count / 1000).toFixed(1)} KB` : `${(count / 1e6).toFixed(1)} MB`;
}

function show(node) {
  const date = new Date(node.dateTime);
  node.textContent = node.dataset.form === 'ago' || (node.dataset.form === 'list' && mode === 'relative')
    ? ago(date) : clockTime(date, { precise: node.dataset.form === 'precise' });
  node.title = `${date.toISOString()}\n${date.toString()}`;
}

/** A `<time>` for an RFC 3339 text: `list` follows the switch, `precise` has milliseconds, `ago` is time that has passed. */
export function time(text, form = 'list') {
  const node = document.createElement('time');
  if (!text || Number.isNaN(Date.parse(text))) return node;
  node.dateTime = text;
  node.dataset.form = form;
  show(node);
  return node;
}

/** Rewrites the shown times. */
export function refreshTimes(relativeOnly = false) {
  for (const node of document.querySelectorAll('time[datetime]')) {
    if (!relativeOnly || node.dataset.form === 'ago' || mode === 'relative') show(node);
  }
}

setInterval(() => { if (!document.hidden) refreshTimes(true); }, 10000);
document.addEventListener('visibilitychange', () => { if (!document.hidden) refreshTimes(); });
