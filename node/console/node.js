// The node, for administrators: its health, what it moves now, its workers and queues. From its metrics (docs/METRICS.md).

import { bytes, facts, h, table } from './page.js';
import { api } from './server.js';

const EVERY = 2000;
/** Points of a curve: two minutes. */
const POINTS = 60;

/** The page; it looks again until it is left. */
export async function node({ signal }) {
  const curves = {
    in: curve('Received', (v) => `${bytes(v)}/s`), out: curve('Sent', (v) => `${bytes(v)}/s`),
    requests: curve('S3 requests', (v) => `${v.toFixed(1)}/s`), mount: curve('Mount operations', (v) => `${v.toFixed(1)}/s`),
  };
  const [health, queues, workers, mounts] = [h('div', { id: 'health' }), h('div'), h('div'), h('div')];
  let before = null;
  async function look() {
    const [state, text] = await Promise.all([api('GET', 'node', undefined, signal), api('GET', 'metrics', undefined, signal)]);
    const now = { at: performance.now(), metrics: read(text) };
    health.replaceChildren(healthOf(state));
    queues.replaceChildren(queuesOf(now.metrics));
    workers.replaceChildren(workersOf(now.metrics));
    mounts.replaceChildren(mountsOf(state.mounts));
    if (before) {
      const seconds = (now.at - before.at) / 1000;
      const rate = (...names) => Math.max(0, sum(now.metrics, ...names) - sum(before.metrics, ...names)) / seconds;
      curves.in.add(rate('pinfold_s3_received_bytes_total'));
      curves.out.add(rate('pinfold_s3_sent_bytes_total'));
      curves.requests.add(rate('pinfold_s3_requests_total'));
      curves.mount.add(rate('pinfold_fuse_operations_total'));
    }
    before = now;
  }
  await look();
  repeat(look, signal, health);
  return [h('h1', 'Node'), health, h('h2', 'Throughput'), h('div.figures', Object.values(curves).map((c) => c.element)),
    h('h2', 'Queues'), queues, h('h2', 'Workers'), workers, h('h2', 'Mounts'), mounts];
}

async function repeat(look, signal, health) {
  while (!signal.aborted) {
    await new Promise((done) => { setTimeout(done, EVERY); });
    if (signal.aborted) return;
    if (document.hidden) continue;
    try {
      await look();
    } catch (error) {
      if (error.status === 401 || error.status === 403) return;
      if (error.name !== 'AbortError') health.replaceChildren(h('p.ill', error.message));
    }
  }
}

/** Prometheus' text as `{name: [{labels, value}]}`. */
export function read(text) {
  const metrics = {};
  for (const line of text.split('\n')) {
    const found = /^([a-z0-9_]+)(?:\{(.*)\})? ([-+.eE0-9]+)$/.exec(line);
    if (!found) continue;
    const labels = Object.fromEntries([...(found[2] ?? '').matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map((m) => [m[1], m[2]]));
    (metrics[found[1]] ??= []).push({ labels, value: Number(found[3]) });
  }
  return metrics;
}

function sum(metrics, ...names) {
  return names.flatMap((name) => metrics[name] ?? []).reduce((total, { value }) => total + value, 0);
}

function healthOf(state) {
  const well = state.state === 'serving';
  const up = state.uptime_seconds;
  const time = up < 3600 ? `${Math.floor(up / 60)} min ${up % 60} s` : `${Math.floor(up / 3600)} h ${Math.floor(up / 60) % 60} min`;
  return facts([
    ['State', h(well ? 'strong.well' : 'strong.ill', state.state)], ['Up', time], ['Version', state.version],
    ['S3', state.s3 ?? 'off'], ['Health and metrics', state.admin ?? 'off'], ['Data', `${state.data} (replica: ${state.engine})`],
    ['Disk', `${bytes(state.disk_available)} of ${bytes(state.disk_total)} may still be written`], ['Buckets', String(state.buckets)],
  ]);
}

function queuesOf(metrics) {
  const behind = sum(metrics, 'pinfold_store_log_head') - sum(metrics, 'pinfold_store_replica_applied');
  const rows = [
    ['S3 requests being served', sum(metrics, 'pinfold_s3_requests_in_flight')],
    ['S3 connections', sum(metrics, 'pinfold_s3_connections')],
    ['S3 requests refused for want of a place', sum(metrics, 'pinfold_s3_requests_queued_out_total')],
    ['Records that the replica has not applied yet', Math.max(0, behind)],
    ['Their size in memory', bytes(sum(metrics, 'pinfold_store_overlay_bytes'))],
    ['Contents that wait for the collector', sum(metrics, 'pinfold_store_collect_waiting')],
  ];
  return table('What waits now', ['Queue', '#Length'], rows.map(([name, value]) => h('tr', h('td', name), h('td.number', String(value)))));
}

function workersOf(metrics) {
  const failures = new Map((metrics.pinfold_store_worker_failures_total ?? []).map((m) => [m.labels.worker, m.value]));
  const rows = (metrics.pinfold_store_worker_rounds_total ?? []).map(({ labels: { worker }, value }) => {
    const failed = failures.get(worker) ?? 0;
    return h('tr', h('td', worker), h('td.number', String(value)), h(failed ? 'td.number.ill' : 'td.number', String(failed)));
  });
  return table('Rounds since the start; why one failed is in the log', ['Worker', '#Rounds', '#Failed'], rows);
}

function mountsOf(mounts) {
  const rows = mounts.map((mount) => h('tr',
    h('td.name', mount.dir), h('td', mount.bucket ? `${mount.bucket}/${mount.prefix}` : 'all buckets'),
    h('td', mount.read_only ? 'read-only' : 'read-write'), h('td', mount.passthrough ? 'kernel (passthrough)' : 'daemon')));
  return table(mounts.length ? 'Running mounts' : 'No mounts', ['Directory', 'Shows', 'Access', 'Bytes by'], rows);
}

/** A figure with its last two minutes. */
function curve(name, text) {
  const points = [];
  const space = 'http://www.w3.org/2000/svg';
  const svg = document.createElementNS(space, 'svg');
  svg.setAttribute('viewBox', `0 0 ${POINTS - 1} 20`);
  svg.setAttribute('preserveAspectRatio', 'none');
  svg.setAttribute('aria-hidden', 'true');
  const line = document.createElementNS(space, 'polyline');
  svg.append(line);
  const value = h('b', '…');
  const add = (rate) => {
    points.push(rate);
    if (points.length > POINTS) points.shift();
    value.textContent = text(rate);
    const top = Math.max(...points, 1e-9);
    const at = (v, i) => `${POINTS - points.length + i},${(19 - (v / top) * 18).toFixed(2)}`;
    line.setAttribute('points', points.map(at).join(' '));
  };
  return { element: h('div.figure', { 'data-figure': name }, name, value, svg), add };
}
