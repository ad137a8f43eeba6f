// S3 as the account that has signed in: the node passes it on as that account's own requests.

import { CHANGES, Refused, ask } from './server.js';

/** Files beyond this go up in parts of at least this. */
const PART = 64 * 1024 * 1024;
/** S3 has at most 10,000 parts. */
const PARTS = 9000;

/** The address of a bucket or an object. */
export function address(bucket, key = '', query = {}) {
  const path = `/s3/${encodeURIComponent(bucket)}${key && '/'}${key.split('/').map(encodeURIComponent).join('/')}`;
  const text = Object.entries(query).filter(([, value]) => value !== undefined && value !== null)
    .map(([name, value]) => (value === '' ? name : `${name}=${encodeURIComponent(value)}`)).join('&');
  return text ? `${path}?${text}` : path;
}

function parse(text) {
  return new DOMParser().parseFromString(text, 'application/xml');
}

function all(element, name) {
  return [...element.getElementsByTagNameNS('*', name)];
}

function field(element, name) {
  return [...element.children].find((child) => child.localName === name)?.textContent ?? '';
}

function decoded(text) {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    return text;
  }
}

function ofXml(text) {
  const error = text && parse(text).documentElement;
  if (!error || error.localName !== 'Error') return { message: text };
  return { message: field(error, 'Message') || field(error, 'Code'), code: field(error, 'Code') };
}

function call(method, path, how) {
  return ask(method, path, how, ofXml);
}

async function document_(path, signal) {
  return parse(await (await call('GET', path, { signal })).text()).documentElement;
}

export async function buckets(signal) {
  const list = await document_('/s3/', signal);
  return all(list, 'Bucket').map((b) => ({ name: field(b, 'Name'), created: field(b, 'CreationDate') }));
}

export function createBucket(name) {
  return call('PUT', address(name));
}

export function deleteBucket(name) {
  return call('DELETE', address(name));
}

/** `Enabled`, `Suspended`, or nothing. */
export async function versioning(bucket, signal) {
  return field(await document_(address(bucket, '', { versioning: '' }), signal), 'Status');
}

export function setVersioning(bucket, status) {
  const space = 'http://s3.amazonaws.com/doc/2006-03-01/';
  const body = `<VersioningConfiguration xmlns="${space}"><Status>${status}</Status></VersioningConfiguration>`;
  return call('PUT', address(bucket, '', { versioning: '' }), { body });
}

/** One page of what lies directly below a prefix. */
export async function list(bucket, prefix, after, signal) {
  const query = { 'list-type': 2, delimiter: '/', 'encoding-type': 'url', 'max-keys': 100, prefix, 'continuation-token': after };
  const page = await document_(address(bucket, '', query), signal);
  return {
    folders: all(page, 'CommonPrefixes').map((p) => decoded(field(p, 'Prefix'))),
    objects: all(page, 'Contents').map((o) => ({
      key: decoded(field(o, 'Key')), size: Number(field(o, 'Size')), modified: field(o, 'LastModified'),
    })),
    next: field(page, 'IsTruncated') === 'true' ? field(page, 'NextContinuationToken') : undefined,
  };
}

/** The versions and delete markers of one key, newest first. */
export async function versions(bucket, key, signal) {
  const page = await document_(address(bucket, '', { versions: '', prefix: key, 'encoding-type': 'url' }), signal);
  return [...page.children].filter((e) => ['Version', 'DeleteMarker'].includes(e.localName))
    .filter((e) => decoded(field(e, 'Key')) === key)
    .map((e) => ({
      id: field(e, 'VersionId'), latest: field(e, 'IsLatest') === 'true', modified: field(e, 'LastModified'),
      size: Number(field(e, 'Size')), deleted: e.localName === 'DeleteMarker',
    }));
}

/** What is known of an object without its bytes. */
export async function head(bucket, key, version, signal) {
  const { headers } = await call('HEAD', address(bucket, key, { versionId: version }), { signal });
  return {
    size: Number(headers.get('content-length')), type: headers.get('content-type') ?? '', etag: headers.get('etag') ?? '',
    modified: headers.get('last-modified'), cid: headers.get('x-pinfold-cid'), pin: headers.get('x-pinfold-pin-status'),
    replicas: headers.get('x-pinfold-pin-replicas'), version: headers.get('x-amz-version-id'),
    metadata: [...headers].filter(([name]) => name.startsWith('x-amz-meta-')).map(([name, v]) => [name.slice(11), v]),
  };
}

/** The first bytes of an object as text. */
export async function beginning(bucket, key, version, size, signal) {
  const range = size > 0 ? { range: `bytes=0-${size - 1}` } : {};
  const answer = await call('GET', address(bucket, key, { versionId: version }), { headers: range, signal });
  return answer.text();
}

export function remove(bucket, key, version) {
  return call('DELETE', address(bucket, key, { versionId: version }));
}

/** Makes an older version the newest, by a copy. */
export async function restore(bucket, key, version) {
  const source = `${encodeURIComponent(bucket)}/${key.split('/').map(encodeURIComponent).join('/')}?versionId=${version}`;
  const answer = await call('PUT', address(bucket, key), { headers: { 'x-amz-copy-source': source } });
  // A copy that failed late says so in a 200.
  const { message, code } = ofXml(await answer.text());
  if (code) throw new Refused(200, message, code);
}

/** Sends a file; `tell` hears how many bytes have gone. The browser reads it from the disk as it goes. */
export async function upload(bucket, key, file, tell, signal) {
  const type = file.type || 'application/octet-stream';
  if (file.size <= PART) {
    await send(address(bucket, key), file, { 'content-type': type }, tell, signal);
    return;
  }
  const begun = await call('POST', address(bucket, key, { uploads: '' }), { headers: { 'content-type': type }, signal });
  const uploadId = field(parse(await begun.text()).documentElement, 'UploadId');
  try {
    const size = Math.max(PART, Math.ceil(file.size / PARTS));
    const parts = [];
    for (let from = 0, number = 1; from < file.size; from += size, number += 1) {
      const piece = file.slice(from, from + size);
      const at = address(bucket, key, { partNumber: number, uploadId });
      const etag = await send(at, piece, {}, (sent) => tell(from + sent), signal);
      parts.push(`<Part><PartNumber>${number}</PartNumber><ETag>${etag.replaceAll('"', '&quot;')}</ETag></Part>`);
    }
    const body = `<CompleteMultipartUpload>${parts.join('')}</CompleteMultipartUpload>`;
    const answer = await call('POST', address(bucket, key, { uploadId }), { body, signal });
    const { message, code } = ofXml((await answer.text()).trim());
    if (code) throw new Refused(200, message, code);
  } catch (error) {
    await call('DELETE', address(bucket, key, { uploadId })).catch(() => {});
    throw error;
  }
}

/** fetch() tells nothing of an upload's progress. */
function send(path, body, headers, tell, signal) {
  return new Promise((done, failed) => {
    const request = new XMLHttpRequest();
    request.open('PUT', path);
    for (const [name, value] of Object.entries({ ...headers, ...CHANGES })) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => tell(event.loaded);
    request.onload = () => {
      if (request.status < 300) {
        tell(body.size);
        done(request.getResponseHeader('etag') ?? '');
        return;
      }
      if (request.status === 401) window.dispatchEvent(new Event('signed-out'));
      const { message, code } = ofXml(request.responseText);
      failed(new Refused(request.status, message || `The node answered ${request.status}.`, code));
    };
    request.onerror = () => failed(new Refused(0, 'The node does not answer.'));
    request.onabort = () => failed(new DOMException('stopped', 'AbortError'));
    signal?.addEventListener('abort', () => request.abort());
    request.send(body);
  });
}
