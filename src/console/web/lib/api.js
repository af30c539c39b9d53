// The client of the console's API.

/** Problem details that the API answered with. */
export class Problem extends Error {
  constructor(status, body) {
    super(body?.detail || body?.title || `the console answered with status ${status}`);
    this.name = 'Problem';
    this.status = status;
    this.code = body?.code || `http_${status}`;
    this.body = body || {};
  }
}

/** The console did not answer at all. */
export class Unreachable extends Error {
  constructor() {
    super('The console does not answer.');
    this.name = 'Unreachable';
  }
}

/** Makes a query string without empty values. */
export function query(parameters) {
  const entries = Object.entries(parameters || {}).filter(([, value]) => value !== undefined && value !== null && value !== '');
  const text = new URLSearchParams(entries).toString();
  return text && `?${text}`;
}

const pause = (milliseconds, signal) => new Promise((done) => {
  const timer = setTimeout(done, milliseconds);
  signal?.addEventListener('abort', () => { clearTimeout(timer); done(); }, { once: true });
});

/** Resolves when the page is visible. */
const visible = (signal) => new Promise((done) => {
  if (!document.hidden) return done();
  const check = () => {
    if (!document.hidden || signal?.aborted) {
      document.removeEventListener('visibilitychange', check);
      done();
    }
  };
  document.addEventListener('visibilitychange', check);
  signal?.addEventListener('abort', check, { once: true });
  return undefined;
});

/** Waits of a connection that is lost, in ms. */
const BACK_OFF = [1000, 2000, 4000, 8000, 15000];

/**
 * Makes a client. `token` is a function; `onState(state)` gets `online`, `offline` or `unauthorized`.
 * Paths are relative to `api/`: `api.get('jobs', {status: 'failed'})`.
 */
export function createApi({ token, onState = () => {} }) {
  async function send(method, path, { body, signal, parameters, text } = {}) {
    const headers = { authorization: `Bearer ${token()}` };
    if (body !== undefined) headers['content-type'] = 'application/json';
    let response;
    try {
      response = await fetch(`api/${path}${query(parameters)}`, {
        method,
        headers,
        signal,
        body: body === undefined ? undefined : JSON.stringify(body),
        cache: 'no-store',
        credentials: 'omit',
        redirect: 'error',
        referrerPolicy: 'no-referrer',
      });
    } catch (error) {
      if (signal?.aborted) throw error;
      onState('offline');
      throw new Unreachable();
    }
    onState(response.status === 401 ? 'unauthorized' : 'online');
    if (text && response.ok) return response.text();
    const isJson = (response.headers.get('content-type') || '').includes('json');
    const answer = isJson ? await response.json().catch(() => null) : null;
    if (!response.ok) throw new Problem(response.status, answer);
    return answer;
  }

  const api = {
    get: (path, parameters, signal) => send('GET', path, { parameters, signal }),
    text: (path, signal) => send('GET', path, { signal, text: true }),
    post: (path, body = {}, signal) => send('POST', path, { body, signal }),

    /**
     * Follows a list. `parameters()` are those of the next request; its answer goes to `take(answer)`. A request waits up
     * to 20 s at the server. A hidden page does not poll. Ends when `signal` is aborted.
     */
    async follow(path, parameters, take, signal) {
      let failures = 0;
      while (!signal.aborted) {
        await visible(signal);
        if (signal.aborted) return;
        const started = performance.now();
        const attempt = new AbortController();
        const stop = () => { if (document.hidden || signal.aborted) attempt.abort(); };
        document.addEventListener('visibilitychange', stop);
        signal.addEventListener('abort', stop);
        try {
          take(await send('GET', path, { parameters: { ...parameters(), wait: 20 }, signal: attempt.signal }));
          failures = 0;
          // An answer that comes at once, again and again, must not keep the processor busy.
          const rest = 250 - (performance.now() - started);
          if (rest > 0) await pause(rest, signal);
        } catch (error) {
          if (signal.aborted || (error instanceof Problem && error.status === 401)) return;
          if (!attempt.signal.aborted) {
            await pause(BACK_OFF[Math.min(failures, BACK_OFF.length - 1)], signal);
            failures += 1;
          }
        } finally {
          document.removeEventListener('visibilitychange', stop);
          signal.removeEventListener('abort', stop);
        }
      }
    },

    /** Calls `load` now and then every `milliseconds` while the page is visible, with back-off after errors. */
    async repeat(load, milliseconds, signal) {
      let failures = 0;
      while (!signal.aborted) {
        await visible(signal);
        if (signal.aborted) return;
        try {
          await load();
          failures = 0;
        } catch (error) {
          if (signal.aborted || (error instanceof Problem && error.status === 401)) return;
          if (!(error instanceof Problem || error instanceof Unreachable)) throw error;
          failures += 1;
        }
        await pause(failures ? BACK_OFF[Math.min(failures, BACK_OFF.length) - 1] : milliseconds, signal);
      }
    },
  };
  return api;
}
