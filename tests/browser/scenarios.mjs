// Scenarios of the console's page. `node scenarios.mjs NAME` runs one against the server that tests/it/console_browser.rs
// has started.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';

import { api, checkAccessibility, checkWidth, deliver, editConfig, go, inBrowser, open, until, visit, world } from './support.mjs';

const ROWS = '.list tbody tr, .empty';

/** Each screen, and what it shows once its data have arrived. */
const SCREENS = [
  ['/overview', '.cards'], ['/deliveries', ROWS], ['/jobs', ROWS], ['/dead-letters', '.group'], ['/playground', '.difference, .pane:last-child .st'],
  ['/routes', ROWS], ['/connections', '.connection'],
];

/** The address of a delivery or a job, and what is shown there. */
const delivered = ({ id }) => [`/deliveries/${encodeURIComponent(id)}`, '.detail .steps'];
const done = ({ id }) => [`/jobs/${encodeURIComponent(id)}`, '.wf'];

/** Texts that would run as code if the page took them for markup. */
const HOSTILE = [
  '<img src=x onerror="window.hacked=1">',
  '"><script>window.hacked=1</script>',
  "'><svg onload=window.hacked=1>",
  'javascript:window.hacked=1',
  '{{constructor.constructor("window.hacked=1")()}}',
  '</textarea><iframe srcdoc="<script>parent.hacked=1</script>">',
  '&lt;b&gt;\u202Eevil\u0000\u2028',
];

/** Sends a delivery and returns the id of its job, once that has finished and called back. */
async function finishedJob(route, body) {
  const answer = await deliver(route, body);
  assert.equal(answer.status, 202, JSON.stringify(answer));
  const { id } = answer.body.jobs[0];
  await until(async () => (await api(`jobs/${id}`)).callback?.status === 'delivered', `${id} has called back`);
  return id;
}

const row = (page, text) => page.locator('table.list tbody tr', { hasText: text });

export const scenarios = {
  /** A delivery appears without a reload, and its job's timeline ends in the delivered callback. */
  feed: () => inBrowser(async (page) => {
    await open(page);
    await page.getByText('No delivery has arrived yet.').waitFor();
    await page.evaluate(() => { window.sameDocument = true; });
    assert.equal(new URL(page.url()).hash, '#/deliveries', 'the token is not in the address any more');

    const answer = await deliver('signup', { event: 'e1', ids: [world.leads[0]] });
    assert.equal(answer.status, 202, JSON.stringify(answer));
    await row(page, 'signup').waitFor();
    await row(page, 'signup').click();
    const detail = page.getByRole('region', { name: 'Delivery' });
    await detail.getByRole('heading', { name: 'What happened' }).waitFor();
    await detail.getByText('Verified').waitFor();
    await detail.locator('a', { hasText: answer.body.jobs[0].id }).click();

    const timeline = page.getByRole('list', { name: 'Timeline' });
    await timeline.locator('.bar.cb').waitFor();
    const last = timeline.getByRole('listitem').last();
    assert.match(await last.innerText(), /Callback.*20\d/s);
    await page.getByText('delivered', { exact: true }).first().waitFor();
    assert.equal(await page.evaluate(() => window.sameDocument), true, 'the page was not loaded again');

    // One that is refused is there too, with its reason.
    const refused = await deliver('signup', { event: 'e2' }, { secret: 'wrong' });
    assert.equal(refused.status, 401);
    await go(page, '/deliveries?outcome=refused');
    await row(page, 'not_verified').click();
    await detail.getByText('failed: ').waitFor({ state: 'attached' });
  }),

  /** Dead letters are replayed to success after the config is mended. */
  dead_letters: () => inBrowser(async (page) => {
    await open(page, '/dead-letters');
    await page.getByText('There is no dead letter.').waitFor();
    const answer = await deliver('order-paid', { event: 'e1', ids: [world.leads[0]] });
    assert.equal(answer.status, 202, JSON.stringify(answer));
    await until(async () => (await api('dead-letters')).groups.length === 1, 'a dead letter');
    await go(page, '/deliveries');
    await go(page, '/dead-letters');
    const group = page.locator('.group');
    await group.getByText('1 delivery').waitFor();
    await group.getByText('What to do').waitFor();

    const before = (await api('status')).config.loaded_at;
    editConfig((config) => config.replace('No_Such_Field', 'Lead_Source'));
    await until(async () => (await api('status')).config.loaded_at !== before, 'the config is reloaded');
    await group.getByRole('button', { name: /Replay all/ }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByText('Replay 1 delivery?').waitFor();
    await dialog.getByText('masshook deliveries replay --all').waitFor();
    await dialog.getByRole('button', { name: 'Replay 1' }).click();
    await page.getByText('1 replayed').waitFor();
    await page.getByText('There is no dead letter.').waitFor();
    await until(async () => (await api('jobs?status=succeeded')).jobs.length === 1, 'the job succeeds');
  }),

  /** A mapping edited in the playground changes the plan, and shows the difference to the deployed route. */
  playground: () => inBrowser(async (page) => {
    await deliver('order-paid', { event: 'e1', ids: [world.leads[0]] });
    await until(async () => (await api('dead-letters')).groups.length === 1, 'a dead letter');
    const [{ sample }] = (await api('dead-letters')).groups;
    await open(page, `/deliveries/${encodeURIComponent(sample)}`);
    await page.getByRole('link', { name: 'Open in playground' }).click();
    const result = page.getByRole('region', { name: 'Result' });
    const call = result.locator('.calls li');
    const difference = result.locator('.difference');
    await call.filter({ hasText: 'No_Such_Field' }).waitFor();
    await result.getByText('not edited').waitFor();
    assert.equal(await difference.locator('.add, .del').count(), 0);

    const map = page.getByRole('textbox', { name: 'map, a jq program' });
    const deployed = await map.inputValue();
    await map.fill(deployed.replace('No_Such_Field', 'Lead_Source'));
    await call.filter({ hasText: 'Lead_Source' }).waitFor();
    assert.doesNotMatch(await call.allInnerTexts().then((texts) => texts.join()), /No_Such_Field/);
    assert.match((await difference.locator('.del').allInnerTexts()).join(), /No_Such_Field/);
    assert.match((await difference.locator('.add').allInnerTexts()).join(), /Lead_Source/);
    await result.getByText(/\d changes?/).waitFor();

    // An error is underlined at its place, and leaves no plan.
    await map.fill(deployed.replace('.ids', '.ids | no_such_function'));
    const underlined = page.locator('.editor mark', { hasText: 'no_such_function' });
    await underlined.waitFor();
    await page.locator('.message.bad', { hasText: 'no_such_function' }).waitFor();
    await result.getByText('no plan').waitFor();

    await page.getByRole('button', { name: 'Reset' }).click();
    await underlined.waitFor({ state: 'hidden' });
    await result.getByText('not edited').waitFor();
    assert.equal(await map.inputValue(), deployed);
    assert.equal((await api('jobs')).jobs.length, 1, 'nothing was sent');
  }),

  /** The playground begins with the route's own example, and filters offer no route that a stranger named. */
  example: () => inBrowser(async (page) => {
    const folder = path.join(path.dirname(world.config), 'examples', 'signup');
    fs.mkdirSync(folder, { recursive: true });
    fs.writeFileSync(path.join(folder, 'event.json'), JSON.stringify({ event: 'own', ids: [world.leads[3]] }));
    await open(page, '/playground?route=signup');
    const body = page.getByRole('textbox', { name: 'Event: body' });
    await until(async () => (await body.inputValue()).includes('"own"'), 'the example is shown');
    await page.getByRole('region', { name: 'Result' }).locator('.calls li', { hasText: world.leads[3] }).waitFor();
    const events = page.getByRole('combobox', { name: 'Event' });
    assert.match(await events.innerText(), /example: event\.json/);
    assert.equal((await api('jobs')).jobs.length, 0, 'nothing was sent');

    assert.equal((await deliver('no-such-route', { event: 'e1' })).status, 404);
    await go(page, '/deliveries');
    await row(page, 'no-such-route').waitFor();
    const routes = await page.getByRole('combobox', { name: 'Route' }).innerText();
    assert.match(routes, /signup/);
    assert.doesNotMatch(routes, /no-such-route/);
  }),

  /** Everything works with the keyboard alone. */
  keyboard: () => inBrowser(async (page) => {
    await finishedJob('signup', { event: 'e1', ids: [world.leads[0]], reference: 'first' });
    await finishedJob('signup', { event: 'e2', ids: [world.leads[1]], reference: 'second' });
    await open(page);
    await row(page, 'signup').nth(1).waitFor();
    const press = (key) => page.keyboard.press(key);
    const focused = () => page.evaluate(() => {
      const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
      return { name: document.activeElement.textContent, isVisible: outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2, row: document.activeElement.closest('tr')?.rowIndex };
    });
    await press('j');
    await press('j');
    assert.deepEqual([(await focused()).row, (await focused()).isVisible], [2, true]);
    await press('k');
    assert.equal((await focused()).row, 1);
    await press('Enter');
    await page.getByRole('heading', { name: 'What happened' }).waitFor();
    await press('Escape');
    await page.getByRole('heading', { name: 'What happened' }).waitFor({ state: 'hidden' });
    assert.equal((await focused()).row, 1, 'the focus is back on the row');

    await press('?');
    const dialog = page.getByRole('dialog', { name: 'Keys' });
    await dialog.getByText('next row').waitFor();
    await press('Escape');
    await dialog.waitFor({ state: 'hidden' });

    await press('3');
    await page.getByRole('heading', { level: 1, name: 'Jobs' }).waitFor();
    assert.equal((await focused()).name, 'Jobs', 'the heading has the focus');
    await press('/');
    await page.keyboard.type('second');
    await press('Enter');
    await page.getByRole('button', { name: /second/ }).waitFor();
    await until(async () => await page.locator('table.list tbody tr').count() === 1, 'one job is left');
    await press('j');
    await press('Enter');
    await page.getByRole('list', { name: 'Timeline' }).waitFor();
    await press('Escape');
    await page.getByRole('heading', { level: 1, name: 'Jobs' }).waitFor();

    // Times: local, UTC, relative.
    await press('t');
    await press('t');
    await page.locator('table.list time', { hasText: /ago|just now/ }).first().waitFor();
  }),

  /** Hostile text in names, ids, references and bodies is shown as text. */
  hostile_text: () => inBrowser(async (page) => {
    for (const [at, text] of HOSTILE.entries()) {
      await finishedJob('signup', { event: `${at}-${text}`, ids: [world.leads[at]], reference: text, note: text });
      await fetch(`${world.server}/hooks/${encodeURIComponent(text)}`, { method: 'POST', body: text });
    }
    await deliver('order-paid', { event: HOSTILE[0], ids: [world.leads[8]], reference: HOSTILE[1] });
    await until(async () => (await api('dead-letters')).groups.length === 1, 'a dead letter');
    await open(page);
    await page.locator('table.list tbody tr').first().waitFor();
    const deliveries = (await api('deliveries')).deliveries.map(delivered);
    const jobs = (await api('jobs')).jobs.map(done);
    const searches = HOSTILE.map((text) => [`/jobs?q=${encodeURIComponent(text)}`, ROWS]);
    const markup = ['script:not([src="app.js"])', 'img', 'iframe', '[onerror]', '[onload]', '[src]:not(script)', 'a[href]:not([href^="#"])'];
    const unknown = [[`/${HOSTILE[0]}`, '.empty'], [`/jobs/${encodeURIComponent(HOSTILE[1])}`, '.note']];
    for (const [route, content] of [...SCREENS, ...deliveries, ...jobs, ...searches, ...unknown]) {
      await visit(page, route, content);
      const reveal = page.getByRole('button', { name: /Show body/ });
      if (await reveal.count()) {
        await reveal.click();
        await page.getByLabel('The body').waitFor();
      }
      const found = await page.evaluate((selectors) => [window.hacked, document.querySelectorAll(selectors.join(',')).length], markup);
      assert.deepEqual(found, [undefined, 0], route);
    }
    await visit(page, ...jobs.at(-1));
    await page.getByText('onerror="window.hacked=1"').first().waitFor();
  }, { tolerated: ['status of 404', 'status of 400', 'status of 409'] }),

  /** Every screen passes axe, light and dark, and fits 400 pixels. */
  accessibility: () => inBrowser(async (page) => {
    const job = await finishedJob('signup', { event: 'e1', ids: [world.leads[0]], reference: 'first' });
    await deliver('order-paid', { event: 'e2', ids: [world.leads[1]] });
    await deliver('signup', { event: 'e3' }, { secret: 'wrong' });
    await until(async () => (await api('dead-letters')).groups.length === 1, 'a dead letter');
    const { deliveries } = await api('deliveries');
    const routes = [...SCREENS, ...deliveries.map(delivered), done({ id: job })];
    await open(page);
    for (const theme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' });
      for (const width of [1280, 400]) {
        await page.setViewportSize({ width, height: 800 });
        for (const [route, content] of routes) {
          await visit(page, route, content);
          await checkAccessibility(page, `${theme} ${width} ${route}`);
          await checkWidth(page, `${width} ${route}`);
        }
      }
    }
    await page.setViewportSize({ width: 400, height: 800 });
    await go(page, '/deliveries');
    await row(page, 'signup').first().click();
    await page.getByRole('heading', { name: 'What happened' }).waitFor();
    await page.getByRole('link', { name: /All deliveries/ }).click();
    await page.locator('table.list').waitFor();
  }),

  /** A lost connection is shown, and mended without a reload. A page that is hidden asks nothing. */
  connection: () => inBrowser(async (page, context) => {
    await open(page);
    await page.getByText('No delivery has arrived yet.').waitFor();
    await context.setOffline(true);
    await deliver('signup', { event: 'e1', ids: [world.leads[0]] });
    await page.getByText('No connection.').waitFor();
    await context.setOffline(false);
    await page.getByText('No connection.').waitFor({ state: 'hidden' });
    await row(page, 'signup').waitFor();

    await page.evaluate(() => {
      Object.defineProperty(document, 'hidden', { configurable: true, get: () => true });
      document.dispatchEvent(new Event('visibilitychange'));
    });
    let requests = 0;
    page.on('request', () => { requests += 1; });
    await deliver('signup', { event: 'e2', ids: [world.leads[1]] });
    // Longer than the page waits between two requests.
    await new Promise((done) => { setTimeout(done, 12_000); });
    assert.equal(requests, 0, 'requests of a hidden page');
    await page.evaluate(() => {
      delete document.hidden;
      document.dispatchEvent(new Event('visibilitychange'));
    });
    await row(page, 'signup').nth(1).waitFor();
  }, { tolerated: ['net::ERR_'] }),

  /** A wrong token leads to the form, and the right one from there to the page. */
  sign_in: () => inBrowser(async (page) => {
    const [base, token] = world.console.split('#token=');
    await page.goto(`${base}#token=wrong`);
    await page.getByRole('heading', { name: 'Open the console' }).waitFor();
    await checkAccessibility(page, 'sign-in');
    await page.getByLabel('Token').fill(`console: ${base}#token=${token}`);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { level: 1, name: 'Deliveries' }).waitFor();
    await page.reload();
    await page.getByRole('heading', { level: 1, name: 'Deliveries' }).waitFor();
    assert.ok(!page.url().includes(token));
  }, { tolerated: ['status of 401'] }),
};

/** Writes the pictures of the documents: MASSHOOK_PICTURES=1 and the test `pictures`. */
scenarios.pictures = () => inBrowser(async (page) => {
  const folder = world.pictures;
  for (let at = 0; at < 6; at += 1) {
    await finishedJob('signup', { event: `signup-${at}`, ids: world.leads.slice(at, at + 1 + (at % 3)), reference: `order ${1000 + at}` });
  }
  await deliver('signup', { event: 'signup-0', ids: [world.leads[0]] });
  await deliver('signup', { event: 'forged' }, { secret: 'wrong' });
  await deliver('order-paid', { event: 'order-1', ids: [world.leads[7]], reference: 'order 1007' });
  await deliver('signup', { event: 'unmapped', ids: 'none' });
  // Jobs that share their calls.
  const shared = await Promise.all([6, 7, 8].map((at) => finishedJob('renewal', { event: `renewal-${at}`, ids: world.leads.slice(at, at + 2), reference: `contract ${at}` })));
  await until(async () => (await api('dead-letters')).groups.length === 2, 'the dead letters');
  const { deliveries } = await api('deliveries');
  const shown = deliveries.find((delivery) => delivery.code === 'not_mappable' || delivery.code === 'mapping_failed') || deliveries.find((delivery) => delivery.dead_letter);
  const failed = deliveries.find((delivery) => delivery.dead_letter?.code === 'JOB_FAILED');
  const routes = {
    deliveries: delivered(shown),
    job: done({ id: shared[1] }),
    overview: SCREENS[0],
    playground: [`/playground?route=order-paid&delivery=${encodeURIComponent(failed.id)}`, '.difference'],
  };
  await open(page);
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    for (const [name, [route, content]] of Object.entries(routes)) {
      await visit(page, route, content);
      if (name === 'playground') {
        const map = page.getByRole('textbox', { name: 'map, a jq program' });
        await map.fill((await map.inputValue()).replace('No_Such_Field', 'Lead_Source'));
        await page.locator('.difference .add').waitFor();
        await page.evaluate(() => document.activeElement.blur());
      }
      await page.screenshot({ path: `${folder}/console-${name}-${colorScheme}.png` });
    }
  }
});

const wanted = process.argv[2];
assert.ok(scenarios[wanted], `there is no scenario ${wanted}: ${Object.keys(scenarios).join(', ')}`);
await scenarios[wanted]();
