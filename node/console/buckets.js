// The buckets that this account may list, and new ones.

import { ask, attempt, button, h, moment, table, to } from './page.js';
import * as s3 from './s3.js';

/** The page. */
export async function buckets({ who, signal, again }) {
  const list = await s3.buckets(signal);
  const rows = list.map((bucket) => row(bucket, again));
  const find = h('input', { type: 'search', 'data-find': true, placeholder: 'name', autocomplete: 'off', spellcheck: 'false' });
  find.addEventListener('input', () => {
    rows.forEach((element, i) => { element.hidden = !list[i].name.includes(find.value.trim()); });
  });
  // A bucket that another account lets this one use is in no list.
  const open = h('form.line', { role: 'search' }, h('label', 'Find or open', find), h('button', 'Open'));
  open.addEventListener('submit', (event) => {
    event.preventDefault();
    const first = list.find((bucket) => bucket.name.includes(find.value.trim()))?.name;
    const name = list.some((b) => b.name === find.value.trim()) ? find.value.trim() : first ?? find.value.trim();
    if (name) location.hash = to('objects', { bucket: name });
  });
  const made = who.role === 'user' ? null : create(again);
  const text = list.length ? `${list.length} buckets` : 'No buckets yet';
  return [h('h1', 'Buckets'), h('div.tools', open, made), table(text, ['Name', 'Made', ''], rows)];
}

function row(bucket, again) {
  const { name, created } = bucket;
  const remove = button('button.danger.small', 'Delete', async () => {
    if (!await ask('Delete this bucket?', `${name}. Only an empty bucket can be deleted.`, 'Delete')) return;
    if (await attempt(() => s3.deleteBucket(name), `Bucket ${name} is deleted.`)) again();
  }, { 'aria-label': `Delete bucket ${name}` });
  return h('tr',
    h('td.name', h('a', { href: to('objects', { bucket: name }) }, name)), h('td', moment(created)), h('td.acts', remove));
}

function create(again) {
  const name = h('input', { name: 'bucket', required: true, minlength: 3, maxlength: 63, autocomplete: 'off', spellcheck: 'false' });
  const versions = h('input', { type: 'checkbox', name: 'versions' });
  const form = h('form.line', { 'aria-label': 'New bucket' },
    h('label', 'New bucket', name), h('label.tick', versions, 'keep versions'), h('button.main', 'Create'));
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const made = await attempt(async () => {
      await s3.createBucket(name.value);
      if (versions.checked) await s3.setVersioning(name.value, 'Enabled');
    }, `Bucket ${name.value} is made.`);
    if (made) again();
  });
  return form;
}
