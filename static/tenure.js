// Tenure's own script: what makes pages live and quick. Every page works without it.
(() => {
  'use strict';
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const typing = (target) => target.closest('input:not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable]');

  // Menus close on Escape, on a click elsewhere, and when the focus leaves.
  document.addEventListener('click', (event) => all('details.menu[open]').forEach((menu) => { if (!menu.contains(event.target)) menu.open = false; }));
  document.addEventListener('focusin', (event) => all('details.menu[open]').forEach((menu) => { if (!menu.contains(event.target)) menu.open = false; }));
  document.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape') return;
    all('details.menu[open]').forEach((menu) => { menu.open = false; menu.querySelector('summary').focus(); });
  });

  // On a narrow page the navigation scrolls; the current place is in sight.
  const here = document.querySelector('.nav [aria-current]');
  if (here) here.closest('.nav').scrollLeft = Math.max(0, here.offsetLeft - 60);

  // A form is sent once: a second press within ten seconds is ignored (the server refuses it too).
  document.addEventListener('submit', (event) => {
    const form = event.target.closest('form[data-guard]');
    if (!form) return;
    if (form.dataset.sent) return event.preventDefault();
    form.dataset.sent = '1';
    setTimeout(() => delete form.dataset.sent, 10000);
  });
  window.addEventListener('pageshow', () => all('form[data-sent]').forEach((form) => delete form.dataset.sent));

  // Errors are what a reader needs first.
  const errors = document.getElementById('errors');
  if (errors) errors.focus();

  // Boxes that choose all others.
  const chosenRows = () => all('[data-row] input[type=checkbox]');
  const tellChosen = () => {
    const count = chosenRows().filter((box) => box.checked).length;
    all('[data-chosen-count]').forEach((place) => { place.textContent = count === 0 ? 'None chosen' : count + ' chosen'; });
    chosenRows().forEach((box) => box.closest('[data-row]').classList.toggle('picked', box.checked));
  };
  document.addEventListener('change', (event) => {
    if (event.target.matches('[data-all]')) chosenRows().forEach((box) => { box.checked = event.target.checked; });
    tellChosen();
  });
  tellChosen();

  // Keys: "/" searches, "c" asks; in a list j k move, x chooses, Enter opens, a assigns to me.
  const rows = () => all('[data-row]');
  const move = (by) => {
    const list = rows();
    if (!list.length) return;
    const at = list.findIndex((row) => row.contains(document.activeElement));
    const next = list[Math.max(0, Math.min(list.length - 1, at < 0 ? 0 : at + by))];
    next.querySelector('a').focus();
    next.scrollIntoView({ block: 'nearest' });
  };
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || typing(event.target)) return;
    const key = event.key.toLowerCase();
    const row = document.activeElement.closest('[data-row]');
    const place = document.querySelector('[data-key="' + CSS.escape(key) + '"]');
    if (key === 'j') move(1);
    else if (key === 'k') move(-1);
    else if (key === 'x' && row) { const box = row.querySelector('input[type=checkbox]'); if (box) { box.click(); } }
    else if (key === 'a' && row && row.querySelector('input[type=checkbox]')) {
      const box = row.querySelector('input[type=checkbox]');
      box.checked = true;
      const button = document.querySelector('[data-assign-me]');
      if (button) button.click();
    } else if (key === '?' && document.getElementById('keys')) { const keys = document.getElementById('keys'); keys.open = !keys.open; }
    else if (place && place.matches('input')) { place.focus(); place.select(); }
    else if (place) place.click();
    else return;
    event.preventDefault();
  });

  // The timeline moves by itself: the server says "changed", htmx fetches what changed.
  const live = document.querySelector('[data-live]');
  if (live && window.EventSource) {
    const note = document.querySelector('.live');
    const stream = new EventSource(live.dataset.live);
    stream.addEventListener('open', () => note && note.classList.add('on'));
    stream.addEventListener('error', () => note && note.classList.remove('on'));
    stream.addEventListener('changed', () => window.htmx && htmx.trigger('#timeline', 'changed'));
    stream.addEventListener('finished', () => { stream.close(); if (note) note.classList.remove('on'); });
    window.addEventListener('pagehide', () => stream.close());
  }

  const fetched = (input, address, then) => {
    const abort = new AbortController();
    input.setAttribute('aria-busy', 'true');
    fetch(address, { signal: abort.signal, headers: { 'HX-Request': 'true' }, credentials: 'same-origin' })
      .then((answer) => (answer.ok && !answer.redirected ? answer.text() : ''))
      .then(then)
      .catch(() => {})
      .finally(() => input.removeAttribute('aria-busy'));
    return abort;
  };

  // The search box suggests while typing; Enter still searches.
  all('[data-suggest]').forEach((input) => {
    const list = document.getElementById(input.getAttribute('aria-controls'));
    let timer, running;
    const close = () => { list.hidden = true; };
    input.addEventListener('input', () => {
      clearTimeout(timer);
      if (running) running.abort();
      const query = input.value.trim();
      if (query.length < 2) return close();
      timer = setTimeout(() => {
        running = fetched(input, input.dataset.suggest + '?q=' + encodeURIComponent(query), (html) => { list.innerHTML = html; list.hidden = !html.trim(); });
      }, 150);
    });
    const form = input.closest('form');
    form.addEventListener('keydown', (event) => {
      const links = all('a', list);
      if (event.key === 'Escape') { close(); input.focus(); }
      if (list.hidden || !links.length || (event.key !== 'ArrowDown' && event.key !== 'ArrowUp')) return;
      const at = links.indexOf(document.activeElement) + (event.key === 'ArrowDown' ? 1 : -1);
      (links[at] || input).focus();
      event.preventDefault();
    });
    form.addEventListener('focusout', (event) => { if (!form.contains(event.relatedTarget)) close(); });
  });

  // Pickers become comboboxes that search while typing (ARIA APG, list autocomplete with manual selection).
  all('[data-picker]').forEach((picker, number) => {
    const input = picker.querySelector('input');
    if (input.readOnly) return;
    input.removeAttribute('list');
    const list = document.createElement('ul');
    list.id = 'options-' + number;
    list.hidden = true;
    list.setAttribute('role', 'listbox');
    list.setAttribute('aria-label', 'Found');
    picker.append(list);
    for (const [name, value] of [['role', 'combobox'], ['aria-autocomplete', 'list'], ['aria-expanded', 'false'], ['aria-controls', list.id]]) input.setAttribute(name, value);
    let at = -1, timer, running;
    const options = () => all('[role=option]', list);
    const show = (open) => { list.hidden = !open; input.setAttribute('aria-expanded', open); if (!open) { at = -1; input.removeAttribute('aria-activedescendant'); } };
    const mark = (next) => {
      at = next;
      options().forEach((option, i) => option.setAttribute('aria-selected', i === at));
      const option = options()[at];
      if (option) { input.setAttribute('aria-activedescendant', option.id); option.scrollIntoView({ block: 'nearest' }); }
    };
    const choose = (option) => { input.value = option.dataset.value; show(false); input.dispatchEvent(new Event('change', { bubbles: true })); };
    const search = () => {
      clearTimeout(timer);
      if (running) running.abort();
      const query = input.value.trim();
      if (!query) return show(false);
      timer = setTimeout(() => {
        running = fetched(input, picker.dataset.picker + '?q=' + encodeURIComponent(query), (html) => {
          list.innerHTML = html;
          options().forEach((option, i) => { option.id = list.id + '-' + i; option.setAttribute('aria-selected', 'false'); });
          show(html.trim() !== '' && document.activeElement === input);
          at = -1;
        });
      }, 150);
    };
    input.addEventListener('input', search);
    input.addEventListener('keydown', (event) => {
      if (list.hidden) { if (event.key === 'ArrowDown') search(); return; }
      const count = options().length;
      if (event.key === 'ArrowDown' && count) mark((at + 1) % count);
      else if (event.key === 'ArrowUp' && count) mark((at + count - 1 + (at < 0 ? 1 : 0)) % count);
      else if (event.key === 'Enter' && at >= 0) choose(options()[at]);
      else if (event.key === 'Escape') show(false);
      else return;
      event.preventDefault();
    });
    list.addEventListener('mousedown', (event) => { event.preventDefault(); const option = event.target.closest('[role=option]'); if (option) choose(option); });
    input.addEventListener('blur', () => show(false));
  });

  // In the chooser a checked box moves to "Chosen", and what is chosen does not show up again among the found.
  all('[data-chooser]').forEach((chooser) => {
    const chosen = chooser.querySelector('[data-chosen]');
    const found = chooser.querySelector('[data-found]');
    const tidy = () => {
      const have = new Set(all('input', chosen).map((box) => box.value));
      all('input', found).forEach((box) => { if (have.has(box.value)) box.closest('.choice').remove(); });
    };
    found.addEventListener('change', (event) => {
      if (!event.target.checked) return;
      chosen.append(event.target.closest('.choice'));
      event.target.focus();
    });
    document.addEventListener('htmx:afterSwap', tidy);
    tidy();
  });

  // A page that waits for something looks again (without a script it does so by a refresh header of its own).
  const reload = document.querySelector('[data-reload]');
  if (reload) setTimeout(() => location.replace(location.href), 1000 * Number(reload.dataset.reload));

  // Copies a value that is shown once.
  document.addEventListener('click', (event) => {
    const button = event.target.closest('[data-copy]');
    if (!button || !navigator.clipboard) return;
    navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent.trim()).then(() => { button.textContent = 'Copied'; });
  });
  if (navigator.clipboard) all('[data-copy]').forEach((button) => { button.hidden = false; });
})();
