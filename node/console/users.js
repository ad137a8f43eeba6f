// Accounts and their keys, for administrators. The root account is configuration and not among them.

import { ask, attempt, button, h, table } from './page.js';
import { api } from './server.js';

const ROLES = ['user', 'userplus', 'admin'];

/** The page. */
export async function users({ who, signal, again }) {
  const list = await api('GET', 'users', undefined, signal);
  const rows = list.map((user) => row(user, who, again));
  const find = h('input', { type: 'search', 'data-find': true, autocomplete: 'off', spellcheck: 'false' });
  find.addEventListener('input', () => {
    rows.forEach((element, i) => { element.hidden = !list[i].access.includes(find.value.trim()); });
  });
  return [h('h1', 'Users'), create(again), h('p.tools', h('label', 'Find', find)),
    table(`${list.length} accounts, the root account not counted`, ['Access key', 'Role', '#User id', '#Group id', '#Project', ''], rows)];
}

function row(user, who, again) {
  const { access } = user;
  const secret = h('input', { type: 'password', autocomplete: 'new-password', minlength: 8, required: true, 'aria-label': `New secret key of ${access}` });
  const form = h('form.line', { hidden: true }, secret, h('button.main.small', 'Set'));
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const put = () => api('PUT', `users/${encodeURIComponent(access)}/secret`, { secret: secret.value });
    if (await attempt(put, `${access} has a new secret key; its sessions here are over.`)) again();
  });
  const change = button('button.small', 'Change secret', () => {
    form.hidden = !form.hidden;
    if (!form.hidden) secret.focus();
  }, { 'aria-label': `Change the secret key of ${access}` });
  const remove = button('button.danger.small', 'Delete', async () => {
    const own = access === who.access ? ' It is your own.' : '';
    if (!await ask('Delete this account?', `${access}.${own} Its buckets stay.`, 'Delete')) return;
    if (await attempt(() => api('DELETE', `users/${encodeURIComponent(access)}`), `${access} is deleted.`)) again();
  }, { 'aria-label': `Delete ${access}` });
  return h('tr', h('td.name', access), h('td', user.role), h('td.number', user.uid), h('td.number', user.gid),
    h('td.number', user.project), h('td.acts', change, ' ', remove, form));
}

function create(again) {
  const access = h('input', { name: 'access', required: true, maxlength: 128, autocomplete: 'off', spellcheck: 'false', autocapitalize: 'off' });
  const secret = h('input', { name: 'secret', type: 'password', required: true, minlength: 8, autocomplete: 'new-password' });
  const role = h('select', { name: 'role' }, ROLES.map((name) => h('option', { value: name }, name)));
  const number = (name) => h('input', { name, type: 'number', min: 0, max: 4294967295, value: 0, required: true });
  const [uid, gid] = [number('uid'), number('gid')];
  const make = button('button', 'Generate', () => {
    const random = crypto.getRandomValues(new Uint8Array(30));
    secret.type = 'text'; // it can be noted only now
    secret.value = btoa(String.fromCharCode(...random)).replaceAll('+', 'x').replaceAll('/', 'y');
    secret.select();
    secret.focus();
  });
  const form = h('form.line', { 'aria-label': 'New account' }, h('label', 'Access key', access), h('label', 'Secret key', secret), make,
    h('label', 'Role', role), h('label', 'User id', uid), h('label', 'Group id', gid), h('button.main', 'Create'));
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const user = { access: access.value, secret: secret.value, role: role.value, uid: Number(uid.value), gid: Number(gid.value) };
    if (await attempt(() => api('POST', 'users', user), `${user.access} is made.`)) again();
  });
  return form;
}
