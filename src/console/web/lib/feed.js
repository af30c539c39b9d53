// Keeps a list live: its newest entries first, then those that the server adds.

import { el, fill, button } from './element.js';

/**
 * Makes a feed of `kind`, which is the path of the list in the API and its key in the answers.
 *
 * `list` is shown in `place`, or else what `empty()` returns; `parameters()` are those of each request; `showFilters()` runs
 * after each change; `announcement(count, newest)` is what a screen reader says of new entries. `whenShown(signal)` runs
 * once the first page is shown.
 */
export function createFeed({ context, kind, list, place, parameters, empty, showFilters, announcement, whenShown }) {
  let feed = null;

  async function load() {
    feed?.abort();
    feed = new AbortController();
    const { signal } = feed;
    context.setLive(false);
    try {
      const page = await context.api.get(kind, parameters(), signal);
      if (signal.aborted) return;
      list.reset(page[kind], page.next);
      showFilters();
      fill(place, list.isEmpty() && !page.next ? empty() : list.node);
      whenShown(signal);
      follow(page.latest, signal);
    } catch (error) {
      if (signal.aborted) return;
      showFilters();
      fill(place, el('div', { class: 'pad' }, context.actions.failureBox(error), button('Try again', load)));
    }
  }

  async function follow(latest, signal) {
    let after = latest;
    context.setLive(true);
    await context.api.follow(kind, () => ({ ...parameters(), after, since: undefined }), (page) => {
      if (signal.aborted) return;
      const entries = page[kind];
      // The server read much and ended early: what is new may be on the next page.
      if (!entries.length && page.next) {
        load();
        return;
      }
      after = page.latest;
      if (!entries.length) return;
      const added = list.prepend(entries);
      if (added && !list.node.isConnected) fill(place, list.node);
      if (added) context.announce(announcement(added, entries[0]));
      showFilters();
    }, signal);
    if (!signal.aborted) context.setLive(false);
  }

  return { load, stop: () => feed?.abort() };
}
