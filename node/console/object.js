// One object: what is known of it, a preview, its versions.

import { ask, attempt, button, bytes, facts, h, moment, news, pin, table, to } from './page.js';
import * as s3 from './s3.js';

/** Of a text so much is shown. */
const SHOWN = 64 * 1024;
const TEXT = /^(text\/|application\/(json|xml|javascript|toml|yaml|x-yaml|x-sh)|[^;]*\+(json|xml)\b)/;
const PICTURE = /^image\//;
/** Types that say nothing; then the name may. */
const UNTYPED = /^((application|binary)\/octet-stream)?$/;
const TEXT_NAME = /\.(txt|md|csv|tsv|log|json|xml|ya?ml|toml|ini|conf|sh|py|rs|js|css|html?|c|h|go|sql)$/i;
const PICTURE_NAME = /\.(png|jpe?g|gif|webp|avif|bmp|ico)$/i;

/** The page. */
export async function object({ names: { bucket, key, version }, signal, again }) {
  const prefix = key.slice(0, key.lastIndexOf('/') + 1);
  const back = h('a', { href: to('objects', { bucket, prefix }), 'data-up': true }, `${bucket} / ${prefix}`);
  const [found, versions] = await Promise.all([
    // A key whose newest version is a delete marker has nothing to show but its versions.
    s3.head(bucket, key, version, signal).catch((error) => { if (error.status === 404) return null; throw error; }),
    s3.versions(bucket, key, signal).catch(() => []), // not everybody may list
  ]);
  const title = h('h1.crumbs', back, ' ', key.slice(prefix.length));
  const rest = versionsTable(bucket, key, versions, again);
  if (!found) return [title, h('p', 'There is no such object now.'), rest].filter(Boolean);
  return [title, acts(bucket, key, version), about(found), await preview(bucket, key, version, found, signal), rest].filter(Boolean);
}

function acts(bucket, key, version) {
  const name = key.split('/').pop();
  const prefix = key.slice(0, key.length - name.length);
  const remove = button('button.danger', version ? 'Delete this version' : 'Delete', async () => {
    const what = version ? `${key}, version ${version}. It is gone for good.` : key;
    if (!await ask('Delete this object?', what, 'Delete')) return;
    if (await attempt(() => s3.remove(bucket, key, version), `${key} is deleted.`)) location.hash = to('objects', { bucket, prefix });
  });
  return h('p.tools', h('a.button', { href: s3.address(bucket, key, { versionId: version }), download: name }, 'Download'), remove);
}

function about(found) {
  const copy = found.cid && button('button.small', 'Copy', () => attempt(
    () => navigator.clipboard?.writeText(found.cid) ?? Promise.reject(new Error('This browser copies only over TLS.')), 'The CID is copied.'));
  const more = found.metadata.map(([name, value]) => [`metadata ${name}`, value]);
  return facts([
    ['Size', `${bytes(found.size)} (${found.size} bytes)`], ['Type', found.type], ['Modified', moment(found.modified)],
    ['CID', [h('span.mono', { id: 'cid' }, found.cid ?? '—'), ' ', copy].filter(Boolean)], ['Pin', h('span', { id: 'pin' }, pin(found))],
    ['ETag', h('span.mono', found.etag)], ...(found.version ? [['Version', h('span.mono', found.version)]] : []), ...more,
  ]);
}

async function preview(bucket, key, version, found, signal) {
  const where = s3.address(bucket, key, { versionId: version });
  const untyped = UNTYPED.test(found.type);
  if (PICTURE.test(found.type) || (untyped && PICTURE_NAME.test(key))) {
    const image = h('img.preview', { src: where, alt: `Preview of ${key}` });
    image.addEventListener('error', () => image.replaceWith(h('p.dim', 'This browser cannot show it.')));
    return h('section', h('h2', 'Preview'), image);
  }
  if (!TEXT.test(found.type) && !(untyped && TEXT_NAME.test(key))) return h('p.dim', 'No preview of this type.');
  const text = await s3.beginning(bucket, key, version, Math.min(found.size, SHOWN), signal).catch((error) => {
    news(error.message, true);
    return null;
  });
  if (text === null) return null;
  const rest = found.size > SHOWN ? h('p.dim', `The first ${bytes(SHOWN)} of ${bytes(found.size)}.`) : null;
  return h('section', h('h2', 'Preview'), h('pre', { tabindex: 0, 'aria-label': `Preview of ${key}` }, text), rest);
}

function versionsTable(bucket, key, versions, again) {
  if (!versions.some((v) => v.id !== 'null' || v.deleted)) return null;
  const rows = versions.map((v) => {
    const restore = v.latest || v.deleted ? null : button('button.small', 'Restore', async () => {
      if (await attempt(() => s3.restore(bucket, key, v.id), 'That version is the newest again.')) again();
    }, { 'aria-label': `Restore version ${v.id}` });
    const remove = button('button.danger.small', 'Delete', async () => {
      const what = v.deleted ? `The delete marker ${v.id}: the version below it shows again.` : `${v.id}. It is gone for good.`;
      if (!await ask('Delete this version?', what, 'Delete')) return;
      if (await attempt(() => s3.remove(bucket, key, v.id), 'The version is deleted.')) again();
    }, { 'aria-label': `Delete version ${v.id}` });
    const name = h('code', { title: v.id }, v.id);
    const link = v.deleted ? name : h('a', { href: to('object', { bucket, key, version: v.id }) }, name);
    return h('tr', h('td', link), h('td', moment(v.modified)), h('td.number', v.deleted ? '' : bytes(v.size)),
      h('td', v.deleted ? 'delete marker' : '', v.latest ? ' newest' : ''), h('td.acts', restore, ' ', remove));
  });
  return h('section', h('h2', 'Versions'), table(`${versions.length} versions, newest first`, ['Version', 'Made', '#Size', '', ''], rows));
}
