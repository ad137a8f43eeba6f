// What lies below a prefix of a bucket: folders, objects with their CIDs; uploads.

import { ask, attempt, button, bytes, cid, h, moment, news, pin, table, to } from './page.js';
import * as s3 from './s3.js';

/** HEADs at once for the CIDs of a page, which a listing does not have. */
const AT_ONCE = 6;

/** The page. */
export async function objects(page) {
  const { names: { bucket, prefix = '', find = '' }, signal } = page;
  const [first, versions] = await Promise.all([
    s3.list(bucket, prefix + find, undefined, signal),
    s3.versioning(bucket, signal).catch(() => null), // not everybody may ask
  ]);
  const body = h('tbody');
  const more = button('button', 'More', () => attempt(async () => {
    add(await s3.list(bucket, prefix + find, more.dataset.next, signal));
  }));
  const caption = h('caption');
  let count = 0;
  function add(found) {
    const rows = found.objects.filter((o) => o.key !== prefix).map((o) => objectRow(page, o));
    body.append(...found.folders.map((folder) => folderRow(bucket, prefix, folder)), ...rows.map((r) => r.element));
    count += found.folders.length + rows.length;
    caption.textContent = count ? `${count}${found.next ? ' and more' : ''} here` : 'Nothing here';
    more.hidden = !found.next;
    more.dataset.next = found.next ?? '';
    fillCids(bucket, rows, signal);
  }
  add(first);
  const parts = [titleOf(bucket, prefix), tools(page, prefix, find), uploads(page, prefix),
    frame(caption, body), h('p', more), versions === null ? null : versioningLine(page, versions)];
  return parts.filter(Boolean);
}

function frame(caption, body) {
  const made = table('', ['Name', '#Size', 'Modified', 'CID', 'Pin', ''], []);
  made.querySelector('caption').replaceWith(caption);
  made.querySelector('tbody').replaceWith(body);
  return made;
}

function titleOf(bucket, prefix) {
  const parts = prefix.split('/').slice(0, -1);
  const crumbs = [h('a', { href: to('objects', { bucket }), 'data-up': parts.length === 1 }, bucket)];
  parts.forEach((part, i) => {
    const path = prefix.split('/').slice(0, i + 1).join('/') + '/';
    crumbs.push(' / ', i === parts.length - 1 ? part : h('a', { href: to('objects', { bucket, prefix: path }), 'data-up': i === parts.length - 2 }, part));
  });
  const up = parts.length ? null : { 'data-up': true };
  return h('h1.crumbs', h('a', { href: to('buckets'), ...up, 'aria-label': 'All buckets' }, '⌂'), ' ', crumbs);
}

function tools({ names: { bucket } }, prefix, find) {
  const field = h('input', { type: 'search', 'data-find': true, value: find, placeholder: 'begins with', autocomplete: 'off', spellcheck: 'false' });
  const form = h('form.line', { role: 'search' }, h('label', 'Find in this folder', field), h('button', 'Find'));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    location.hash = to('objects', { bucket, prefix, find: field.value });
  });
  return form;
}

function folderRow(bucket, prefix, folder) {
  const name = h('a', { href: to('objects', { bucket, prefix: folder }) }, folder.slice(prefix.length));
  return h('tr', h('td.name', name), h('td'), h('td'), h('td'), h('td'), h('td'));
}

function objectRow({ names: { bucket, prefix = '' }, again }, { key, size, modified }) {
  const name = key.slice(prefix.length);
  const place = h('td', '…');
  const pinned = h('td', '…');
  const remove = button('button.danger.small', 'Delete', async () => {
    if (!await ask('Delete this object?', key, 'Delete')) return;
    if (await attempt(() => s3.remove(bucket, key), `${key} is deleted.`)) again();
  }, { 'aria-label': `Delete ${name}` });
  const download = h('a.button.small', { href: s3.address(bucket, key), download: key.split('/').pop(), 'aria-label': `Download ${name}` }, 'Download');
  const element = h('tr',
    h('td.name', h('a', { href: to('object', { bucket, key }) }, name)), h('td.number', { title: `${size} bytes` }, bytes(size)),
    h('td', moment(modified)), place, pinned, h('td.acts', download, ' ', remove));
  return { key, element, place, pinned };
}

async function fillCids(bucket, rows, signal) {
  const waiting = [...rows];
  const work = async () => {
    for (let row = waiting.shift(); row && !signal.aborted; row = waiting.shift()) {
      // Who may list may yet not read.
      const found = await s3.head(bucket, row.key, undefined, signal).catch(() => null);
      row.place.replaceChildren(cid(found?.cid));
      row.pinned.replaceChildren(pin(found));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}

function uploads({ names: { bucket }, signal, again }, prefix) {
  const list = h('ul.uploads');
  const send = async (files) => {
    let failed = 0;
    for (const file of files) {
      const bar = h('progress', { max: file.size || 1, value: 0, 'aria-label': `Upload of ${file.name}` });
      const item = h('li', bar, ` ${file.name}`);
      list.append(item);
      const worked = await attempt(() => s3.upload(bucket, prefix + file.name, file, (sent) => { bar.value = sent; }, signal));
      if (worked) item.remove();
      else failed += 1;
    }
    if (signal.aborted || failed === files.length) return;
    if (!failed) news(files.length === 1 ? `${files[0].name} is uploaded.` : `${files.length} files are uploaded.`);
    again();
  };
  const field = h('input', { type: 'file', multiple: true, id: 'upload', onchange: () => send([...field.files]) });
  const zone = h('div', h('p.tools', h('label.button.file', 'Upload files', field), h('span.dim', 'or drop them here')), list);
  zone.addEventListener('dragover', (event) => { event.preventDefault(); zone.classList.add('dropping'); });
  zone.addEventListener('dragleave', () => zone.classList.remove('dropping'));
  zone.addEventListener('drop', (event) => {
    event.preventDefault();
    zone.classList.remove('dropping');
    send([...event.dataTransfer.files]);
  });
  return zone;
}

function versioningLine({ names: { bucket }, again }, status) {
  const on = status === 'Enabled';
  const change = button('button.small', on ? 'Keep no new versions' : 'Keep versions', async () => {
    if (await attempt(() => s3.setVersioning(bucket, on ? 'Suspended' : 'Enabled'), 'Done.')) again();
  });
  return h('p.dim', on ? 'This bucket keeps versions. ' : 'This bucket keeps no versions of what is replaced or deleted. ', change);
}
