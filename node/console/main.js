// Who is here, which page is shown, and the keys that work everywhere.

import { buckets } from './buckets.js';
import { node } from './node.js';
import { object } from './object.js';
import { objects } from './objects.js';
import { h, news, to } from './page.js';
import { api } from './server.js';
import { signIn } from './signin.js';
import { users } from './users.js';

/** A page gets its names, who looks, and a signal that ends with it; it answers with elements. */
const PAGES = { buckets, objects, object, users, node };
const FOR_ADMINS = ['users', 'node'];

const main = document.getElementById('main');
const help = document.getElementById('help');
let who = null;
let shown = null;

function pages() {
  return ['buckets', ...(who.role === 'admin' ? FOR_ADMINS : [])];
}

/** Shows what the address names. */
async function show() {
  shown?.abort();
  const ours = new AbortController();
  shown = ours;
  const names = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  if (!who) {
    document.title = 'Sign in · Pinfold';
    main.replaceChildren(signIn((found) => { who = found; frame(); show(); }));
    return;
  }
  const name = PAGES[names.page] ? names.page : 'buckets';
  for (const link of document.querySelectorAll('#nav a')) {
    const current = link.dataset.page === name || (link.dataset.page === 'buckets' && name.startsWith('object'));
    if (current) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  try {
    const found = await PAGES[name]({ names, who, signal: ours.signal, again: show });
    if (ours.signal.aborted) return;
    main.replaceChildren(...[found].flat());
  } catch (error) {
    if (ours.signal.aborted || error.name === 'AbortError') return;
    main.replaceChildren(h('h1', 'This cannot be shown'), h('p.error', { role: 'alert' }, error.message));
  }
  const title = main.querySelector('h1')?.textContent ?? 'Pinfold';
  document.title = `${title} · Pinfold`;
  main.focus();
}

/** What stands around the pages. */
function frame() {
  document.getElementById('nav').hidden = !who;
  document.getElementById('sign-out').hidden = !who;
  document.getElementById('help-button').hidden = !who;
  document.getElementById('who').textContent = who ? `${who.access} (${who.role})` : '';
  const link = (page) => h('a', { href: to(page), 'data-page': page }, page[0].toUpperCase() + page.slice(1));
  document.getElementById('nav').replaceChildren(...(who ? pages().map(link) : []));
}

function signedOut(text) {
  if (!who) return;
  who = null;
  frame();
  show();
  if (text) news(text, true);
}

/** Goes from row to row. */
function move(by) {
  const links = [...main.querySelectorAll('tbody tr')].map((row) => row.querySelector('a, button')).filter(Boolean);
  const row = document.activeElement?.closest?.('tbody tr');
  const at = links.findIndex((link) => row?.contains(link));
  links[Math.min(Math.max(at + by, 0), links.length - 1)]?.focus();
}

function key(event) {
  if (event.ctrlKey || event.altKey || event.metaKey || !who) return;
  if (event.target.closest('input, select, textarea, dialog')) {
    if (event.key === 'Escape' && event.target.matches('input')) main.focus();
    return;
  }
  const page = { b: 'buckets', u: 'users', n: 'node' }[event.key];
  if (page && pages().includes(page)) location.hash = to(page);
  else if (event.key === 'j' || event.key === 'ArrowDown') move(1);
  else if (event.key === 'k' || event.key === 'ArrowUp') move(-1);
  else if (event.key === '/') main.querySelector('[data-find]')?.focus();
  else if (event.key === '?') help.showModal();
  else if (event.key === 'Backspace') main.querySelector('[data-up]')?.click();
  else return;
  event.preventDefault();
}

document.addEventListener('keydown', key);
document.getElementById('help-button').addEventListener('click', () => help.showModal());
document.getElementById('skip').addEventListener('click', (event) => {
  event.preventDefault();
  main.focus();
});
document.getElementById('sign-out').addEventListener('click', async () => {
  await api('DELETE', 'session').catch(() => {});
  signedOut();
});
window.addEventListener('hashchange', show);
window.addEventListener('signed-out', () => signedOut('You are signed out.'));

who = await api('GET', 'session').catch(() => null);
frame();
show();
