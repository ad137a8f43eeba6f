// Signing in and out.

import { h } from './page.js';
import { api } from './server.js';

/** The form; `done` gets who has signed in. */
export function signIn(done) {
  const access = h('input', { name: 'access', autocomplete: 'username', required: true, spellcheck: 'false', autocapitalize: 'off' });
  const secret = h('input', { name: 'secret', type: 'password', autocomplete: 'current-password', required: true });
  const problem = h('p.error', { role: 'alert' });
  const enter = h('button.main', 'Sign in');
  const form = h('form.signin',
    h('h1', 'Sign in'), h('label', 'Access key', access), h('label', 'Secret key', secret), enter, problem);
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    enter.disabled = true;
    problem.textContent = '';
    try {
      done(await api('POST', 'session', { access: access.value.trim(), secret: secret.value }));
    } catch (error) {
      problem.textContent = error.message;
      secret.select();
      secret.focus();
    } finally {
      enter.disabled = false;
    }
  });
  queueMicrotask(() => access.focus());
  return form;
}
