// Requests to the console's own server. The session is a cookie that no script can read.

/** The header without which nothing is changed: no other site's page can send it. */
export const CHANGES = { 'x-pinfold-console': '1' };

/** What the server refused. */
export class Refused extends Error {
  constructor(status, message, code = '') {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** Fetches, and makes an error of a refusal. `said` reads the message of one. */
export async function ask(method, path, { body, headers = {}, signal } = {}, said = ofJson) {
  const all = method === 'GET' || method === 'HEAD' ? headers : { ...headers, ...CHANGES };
  let answer;
  try {
    answer = await fetch(path, { method, body, headers: all, signal, credentials: 'same-origin' });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Refused(0, 'The node does not answer.');
  }
  if (answer.ok) return answer;
  if (answer.status === 401 && !path.endsWith('/session')) window.dispatchEvent(new Event('signed-out'));
  const { message, code } = said(await answer.text());
  throw new Refused(answer.status, message || `The node answered ${answer.status}.`, code);
}

function ofJson(text) {
  try {
    return { message: JSON.parse(text).error };
  } catch {
    return { message: text };
  }
}

/** JSON both ways. */
export async function api(method, path, value, signal) {
  const body = value === undefined ? undefined : JSON.stringify(value);
  const headers = body === undefined ? {} : { 'content-type': 'application/json' };
  const answer = await ask(method, `/api/${path}`, { body, headers, signal });
  return answer.headers.get('content-type')?.startsWith('application/json') ? answer.json() : answer.text();
}
