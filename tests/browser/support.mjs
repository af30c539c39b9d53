// What the scenarios share: the browser, the page, deliveries, and the checks that hold in each of them.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';

/** The addresses and files of the server under test: see tests/it/console_browser.rs. */
export const world = JSON.parse(process.env.MASSHOOK_BROWSER_WORLD);

const tools = createRequire(`${world.tools}/`);
const { chromium } = tools('playwright-core');
const AXE = readFileSync(tools.resolve('axe-core/axe.min.js'), 'utf8');

const PATIENCE = 60_000;

/** Waits until `condition` returns something true, and returns it. */
export async function until(condition, what) {
  const over = Date.now() + PATIENCE;
  for (;;) {
    const found = await condition();
    if (found) return found;
    assert.ok(Date.now() < over, `not so in time: ${what}`);
    await new Promise((done) => { setTimeout(done, 50); });
  }
}

/** Starts the browser, runs a scenario in a page of its own, and checks that the page has reported no error. */
export async function inBrowser(scenario, { tolerated = [], ...options } = {}) {
  const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync);
  assert.ok(executablePath, 'Chromium is not installed. On Debian: apt-get install chromium');
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
  try {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, reducedMotion: 'reduce', ...options });
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE);
    const errors = [];
    page.on('console', (message) => { if (['error', 'warning'].includes(message.type())) errors.push(message.text()); });
    page.on('pageerror', (error) => errors.push(error.stack));
    await page.addInitScript(() => {
      window.violations = [];
      document.addEventListener('securitypolicyviolation', (event) => window.violations.push(`${event.violatedDirective} ${event.blockedURI}`));
    });
    await scenario(page, context);
    const found = errors.filter((error) => !tolerated.some((known) => error.includes(known)));
    assert.deepEqual(found, [], 'errors in the console of the browser');
    assert.deepEqual(await page.evaluate(() => window.violations), [], 'violations of the policy');
  } finally {
    await browser.close();
  }
}

/** Opens the page at a route of its own. */
export async function open(page, route = '/deliveries') {
  await page.goto(world.console);
  await page.locator('nav').waitFor();
  await go(page, route);
}

/** Goes to a route of the page. */
export async function go(page, route) {
  await page.evaluate((path) => { location.hash = `#${path}`; }, route);
}

/** Goes to a route of the page, and waits for its content: an element that was not there before. */
export async function visit(page, route, content) {
  await page.evaluate((selector) => document.querySelectorAll(selector).forEach((node) => { node.dataset.old = ''; }), content);
  await go(page, route);
  await page.locator(content).and(page.locator(':not([data-old])')).filter({ visible: true }).first().waitFor();
}

/** Sends a delivery to a route, signed as GitHub signs. */
export async function deliver(route, body, { secret = world.secret } = {}) {
  const text = JSON.stringify(body);
  const signature = createHmac('sha256', secret).update(text).digest('hex');
  const response = await fetch(`${world.server}/hooks/${route}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-hub-signature-256': `sha256=${signature}`, 'x-github-delivery': crypto.randomUUID() },
    body: text,
  });
  return { status: response.status, body: await response.json().catch(() => null) };
}

/** Replaces a text in the config, and makes the server reload it. */
export function editConfig(change) {
  writeFileSync(world.config, change(readFileSync(world.config, 'utf8')));
  process.kill(world.pid, 'SIGHUP');
}

/** Asks the API, as the page does. */
export async function api(path) {
  const [base, token] = world.console.split('#token=');
  const response = await fetch(`${base}api/${path}`, { headers: { authorization: `Bearer ${token}` } });
  assert.equal(response.status, 200, path);
  return response.json();
}

/** Checks a page with axe: nothing serious. */
export async function checkAccessibility(page, where) {
  await page.evaluate(`${AXE};0`);
  const violations = await page.evaluate(async () => {
    const result = await window.axe.run(document, { resultTypes: ['violations'] });
    return result.violations.filter((one) => ['serious', 'critical'].includes(one.impact))
      .map((one) => `${one.id}: ${one.nodes.slice(0, 5).map((node) => `${node.target.join(' ')} (${node.failureSummary})`).join('; ')}`);
  });
  assert.deepEqual(violations, [], where);
}

/** Whether something of the page is out of its width. */
export async function checkWidth(page, where) {
  const widths = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
  assert.ok(widths[0] <= widths[1], `${where}: ${widths}`);
}
