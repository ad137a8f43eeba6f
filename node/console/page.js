// Pieces of pages: elements, figures, news, questions. Text goes in as text: no name or body is ever read as HTML.

/** An element: `h('a.plain', {href: '#', onclick: f}, 'text', element, [more])`. */
export function h(tag, ...rest) {
  const [name, ...classes] = tag.split('.');
  const element = document.createElement(name);
  if (classes.length) element.className = classes.join(' ');
  const isPlain = rest[0] && typeof rest[0] === 'object' && !(rest[0] instanceof Node) && !Array.isArray(rest[0]);
  for (const [key, value] of Object.entries(isPlain ? rest.shift() : {})) {
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, '');
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...rest.flat(3).filter((part) => part !== null && part !== undefined && part !== false));
  return element;
}

/** Where a page lies: `to('objects', {bucket: 'b', prefix: 'p/'})`. */
export function to(page, names = {}) {
  return '#' + new URLSearchParams({ page, ...names });
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** Bytes for people. */
export function bytes(count) {
  let unit = 0;
  while (count >= 1024 && unit < UNITS.length - 1) {
    count /= 1024;
    unit += 1;
  }
  return `${unit ? count.toFixed(1) : Math.round(count)} ${UNITS[unit]}`;
}

/** A moment in this browser's time zone. */
export function moment(text) {
  const date = new Date(text);
  if (Number.isNaN(date.getTime())) return text ?? '';
  const part = (number) => String(number).padStart(2, '0');
  const day = `${date.getFullYear()}-${part(date.getMonth() + 1)}-${part(date.getDate())}`;
  return h('time', { datetime: date.toISOString(), title: date.toISOString() },
    `${day} ${part(date.getHours())}:${part(date.getMinutes())}:${part(date.getSeconds())}`);
}

/** A table; `columns` are names, those that begin with `#` hold numbers. */
export function table(caption, columns, rows) {
  const head = columns.map((name) => h(name.startsWith('#') ? 'th.number' : 'th', { scope: 'col' }, name.replace('#', '')));
  return h('div.scroll', h('table', h('caption', caption), h('thead', h('tr', head)), h('tbody', rows)));
}

/** A list of names and values. */
export function facts(pairs) {
  return h('dl', pairs.map(([name, value]) => [h('dt', name), h('dd', value)]));
}

/** Says what came of something, also to screen readers. */
export function news(text, bad = false) {
  const place = document.getElementById('news');
  place.textContent = text;
  place.classList.toggle('bad', bad);
  clearTimeout(news.timer);
  if (!bad) news.timer = setTimeout(() => { place.textContent = ''; }, 6000);
}

/** Does something and says what came of it; true if it worked. */
export async function attempt(what, done) {
  try {
    await what();
    if (done) news(done);
    return true;
  } catch (error) {
    if (error.name !== 'AbortError') news(error.message, true);
    return false;
  }
}

/** Asks before something that cannot be undone. */
export function ask(title, text, yes) {
  const dialog = document.getElementById('ask');
  document.getElementById('ask-title').textContent = title;
  document.getElementById('ask-text').textContent = text;
  document.getElementById('ask-yes').textContent = yes;
  dialog.returnValue = 'no';
  dialog.showModal();
  return new Promise((answer) => {
    dialog.addEventListener('close', () => answer(dialog.returnValue === 'yes'), { once: true });
  });
}

/** A button that waits for what it does. */
export function button(tag, label, act, more = {}) {
  const element = h(tag, { type: 'button', ...more }, label);
  element.addEventListener('click', async () => {
    element.disabled = true;
    try {
      await act();
    } finally {
      element.disabled = false;
    }
  });
  return element;
}

/** A CID, short, with its whole text on demand and a button that copies it. */
export function cid(text) {
  if (!text) return h('span.dim', '—');
  return h('code', { title: text }, text);
}

/** How far an object's pin is, of a HEAD's answer; a node that does not pin says nothing: then its bytes are on this node. */
export function pin(found) {
  if (!found) return h('span.dim', '—');
  if (!found.pin) return h('span', { title: 'On this node, which does not pin.' }, 'local');
  const told = found.replicas ? `${found.pin} ${found.replicas}` : found.pin;
  return h('span', { title: found.replicas ? 'Peers that hold it, of those that are to.' : '' }, told);
}
