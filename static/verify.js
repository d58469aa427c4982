// Checks one record in the reader's own browser: its bytes, its place in the log, the checkpoint's signatures, the values shown.
// Formats: c2sp.org/tlog-proof, signed-note, tlog-cosignature; RFC 6962 hashing; HMAC-SHA256 commitments. WebCrypto, nothing else.
(() => {
  'use strict';
  const LOG = 1;
  const WITNESS = 4;
  const LABEL = { [LOG]: 'The log’s signature', [WITNESS]: 'The witness’s cosignature' };
  const encode = (text) => new TextEncoder().encode(text);
  const decode = (bytes) => new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  const hex = (bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  const short = (bytes) => hex(bytes).slice(0, 16) + '…';
  const same = (one, other) => hex(one) === hex(other);

  // What is wrong with what was fetched, in words for people.
  class Wrong extends Error {}
  const need = (holds, why) => { if (!holds) throw new Wrong(why); };

  const join = (...parts) => {
    const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    parts.reduce((at, part) => { whole.set(part, at); return at + part.length; }, 0);
    return whole;
  };

  const sha256 = async (...parts) => new Uint8Array(await crypto.subtle.digest('SHA-256', join(...parts)));

  const fromBase64 = (text, length) => {
    let binary = null;
    try { binary = atob(text); } catch { /* said below */ }
    need(binary !== null && btoa(binary) === text, '“' + text.slice(0, 60) + '” is not base64');
    need(length === undefined || binary.length === length, '“' + text.slice(0, 60) + '” is not the base64 of ' + length + ' bytes');
    return Uint8Array.from(binary, (character) => character.charCodeAt(0));
  };

  const fromHex = (text) => Uint8Array.from(text.match(/../g) || [], (pair) => parseInt(pair, 16));

  const number = (text) => {
    need(/^(0|[1-9][0-9]{0,17})$/.test(text), '“' + text + '” is not a number');
    return BigInt(text);
  };

  // Verifier keys, `name+id+base64(type, key)`, separated by spaces: a list of {name, id, kind, key}.
  const readKeys = async (text, kind) => Promise.all((text || '').split(/\s+/).filter(Boolean).map(async (line) => {
    const [, name, id, rest] = line.match(/^([^+]+)\+([0-9a-f]{8})\+(.+)$/) || [];
    need(name, '“' + line.slice(0, 60) + '” is not a verifier key');
    const data = fromBase64(rest, 33);
    need(data[0] === kind, 'the key of ' + name + ' is of another kind');
    need(hex((await sha256(encode(name + '\n'), data)).slice(0, 4)) === id, 'the key of ' + name + ' does not have the id ' + id);
    return { name, id, kind, key: data.slice(1) };
  }));

  // A signed checkpoint: {body, origin, size, root, signatures: [{name, id, blob}]}.
  const readCheckpoint = (text) => {
    const end = text.lastIndexOf('\n\n');
    need(end > 0 && text.endsWith('\n'), 'this is not a signed checkpoint');
    const lines = text.slice(0, end).split('\n');
    need(lines.length >= 3 && lines.every(Boolean), 'this is not a signed checkpoint');
    const signatures = text.slice(end + 2, -1).split('\n').map((line) => {
      const [, name, blob] = line.match(/^— ([^ ]+) ([^ ]+)$/) || [];
      need(name, '“' + line.slice(0, 60) + '” is not a signature line');
      const bytes = fromBase64(blob);
      return { name, id: hex(bytes.slice(0, 4)), blob: bytes.slice(4) };
    });
    return { body: text.slice(0, end + 1), origin: lines[0], size: number(lines[1]), root: fromBase64(lines[2], 32), signatures };
  };

  const readProof = (text) => {
    const split = text.indexOf('\n\n');
    const [, index, path] = text.slice(0, Math.max(split, 0)).match(/^c2sp\.org\/tlog-proof@v1(?:\nextra [^\n]+)?\nindex (\d+)((?:\n[A-Za-z0-9+/=]+)*)$/) || [];
    need(index !== undefined, 'the proof is not a tlog-proof');
    const hashes = path.split('\n').filter(Boolean).map((line) => fromBase64(line, 32));
    return { index: number(index), path: hashes, checkpoint: readCheckpoint(text.slice(split + 2)) };
  };

  // The root to which the path leads from a leaf (RFC 9162, 2.1.3.2), or null where the path does not fit index and size.
  const rootOf = async (leaf, index, size, path) => {
    if (index >= size) return null;
    let [at, last, hash] = [index, size - 1n, leaf];
    for (const sibling of path) {
      if (last === 0n) return null;
      if ((at & 1n) === 1n || at === last) {
        hash = await sha256(Uint8Array.of(1), sibling, hash);
        while ((at & 1n) === 0n && at !== 0n) [at, last] = [at >> 1n, last >> 1n];
      } else {
        hash = await sha256(Uint8Array.of(1), hash, sibling);
      }
      [at, last] = [at >> 1n, last >> 1n];
    }
    return last === 0n ? hash : null;
  };

  const importEd25519 = (key) => crypto.subtle.importKey('raw', key, { name: 'Ed25519' }, false, ['verify']);
  // Asked with the public key of RFC 8032, 7.1, test 1: a browser that cannot take that one cannot take any.
  const knowsEd25519 = () => importEd25519(fromHex('d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a')).then(() => true, () => false);
  const signed = async (key, message, signature) => {
    try { return await crypto.subtle.verify({ name: 'Ed25519' }, await importEd25519(key), signature, message); } catch { return false; }
  };

  // Whether the signature is the key's; for a witness, also when it was made.
  const checkSignature = async (known, blob, body) => {
    if (known.kind === LOG) return { holds: blob.length === 64 && await signed(known.key, encode(body), blob) };
    if (blob.length !== 72) return { holds: false };
    const time = new DataView(blob.buffer, blob.byteOffset).getBigUint64(0);
    const message = 'cosignature/v1\ntime ' + time + '\n' + body;
    const at = time < 8640000000000n ? new Date(Number(time) * 1000).toISOString().slice(0, 19) + 'Z' : String(time);
    return { holds: await signed(known.key, encode(message), blob.slice(8)), at };
  };

  const atPointer = (record, pointer) => pointer.split('/').slice(1).reduce((here, part) => {
    const name = part.replaceAll('~1', '/').replaceAll('~0', '~');
    return here !== null && typeof here === 'object' && Object.hasOwn(here, name) ? here[name] : undefined;
  }, record);

  const isCommitment = (value) => value !== null && typeof value === 'object' && Object.keys(value).join() === 'hmac';
  const commitments = (value) => {
    if (value === null || typeof value !== 'object') return 0;
    return isCommitment(value) ? 1 : Object.values(value).reduce((sum, inner) => sum + commitments(inner), 0);
  };

  const opens = async ({ value, key }, stands) => {
    if (!/^[0-9a-f]{64}$/.test(key) || !isCommitment(stands)) return false;
    const imported = await crypto.subtle.importKey('raw', fromHex(key), { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
    return hex(new Uint8Array(await crypto.subtle.sign('HMAC', imported, encode(value)))) === stands.hmac;
  };

  const fetched = async (address, absent) => {
    const url = new URL(address, location.href);
    need(url.origin === location.origin, address + ' is not on this server');
    const answer = await fetch(url, { credentials: 'same-origin', cache: 'no-store' });
    if (answer.status === 404 && absent !== undefined) return absent;
    need(answer.ok, address + ' could not be read (' + answer.status + ')');
    return new Uint8Array(await answer.arrayBuffer());
  };

  // Adds one line to the list. kind: "ok", "bad", or "note" for what is said without being a check.
  const teller = (list) => {
    const counts = { ok: 0, bad: 0, note: 0 };
    const say = (kind, text, end) => {
      const item = document.createElement('li');
      item.className = end ? kind + ' end' : kind;
      item.textContent = text;
      list.append(item);
      if (!end) counts[kind] += 1;
    };
    return { say, counts, check: (holds, good, bad) => say(holds ? 'ok' : 'bad', holds ? good : bad) };
  };

  const checkPlace = async (tell, bytes, proof) => {
    const leaf = await sha256(Uint8Array.of(0), bytes);
    const { origin, size, root } = proof.checkpoint;
    const reached = await rootOf(leaf, proof.index, size, proof.path);
    tell.say('note', 'The record is ' + bytes.length + ' bytes; its leaf hash is ' + short(leaf));
    tell.check(reached !== null && same(reached, root),
      'From it, ' + proof.path.length + ' hashes lead to ' + short(root) + ', the root of ' + origin + ' at ' + size + ' records: it stands at place ' + proof.index + ', as written.',
      'From it, the proof leads to ' + (reached ? short(reached) : 'nothing') + ', not to the root ' + short(root) + ': the record or its proof was altered.');
  };

  const checkSignatures = async (tell, checkpoint, keys) => {
    if (!await knowsEd25519()) {
      tell.say('note', 'This browser cannot check Ed25519 signatures. The checkpoint’s signatures have to be checked elsewhere.');
      return false;
    }
    let [logs, others] = [0, 0];
    for (const { name, id, blob } of checkpoint.signatures) {
      const known = keys.find((key) => key.name === name && key.id === id);
      if (!known) { others += 1; continue; }
      const { holds, at } = await checkSignature(known, blob, checkpoint.body);
      const what = LABEL[known.kind] + ' on the checkpoint (' + name + ', key ' + id + (at ? ', ' + at : '') + ')';
      tell.check(holds, what + ' holds.', what + ' does not hold.');
      if (known.kind === LOG) logs += 1;
    }
    if (others) tell.say('note', 'Signatures by keys not known here, left aside: ' + others);
    if (!logs) tell.say('bad', 'The checkpoint carries no signature by a known key of the log.');
    return true;
  };

  const checkDisclosures = async (tell, record, disclosures) => {
    need(Array.isArray(disclosures), 'the disclosures are not a list');
    const seen = new Set();
    for (const entry of disclosures) {
      need(entry && ['path', 'value', 'key'].every((field) => typeof entry[field] === 'string'), 'a disclosure is not as it should be');
      tell.check(!seen.has(entry.path) && await opens(entry, atPointer(record, entry.path)),
        entry.path + ' is ' + entry.value + ', as recorded.', entry.path + ' was shown as ' + entry.value + ', which is not what was recorded.');
      seen.add(entry.path);
    }
    const closed = commitments(record) - seen.size;
    if (closed > 0) tell.say('note', 'Values withheld or erased, whose commitments stand: ' + closed);
  };

  const checkOwn = (tell, text, checkpoint) => {
    const own = readCheckpoint(text.replaceAll('\r\n', '\n').trim() + '\n');
    if (own.origin !== checkpoint.origin) return tell.say('bad', 'Your checkpoint is of ' + own.origin + ', this one of ' + checkpoint.origin + '.');
    if (own.size !== checkpoint.size) return tell.say('note', 'Your checkpoint has ' + own.size + ' records, this one ' + checkpoint.size + ': not compared.');
    return tell.check(same(own.root, checkpoint.root), 'Your checkpoint of ' + own.size + ' records has the same root.',
      'Your checkpoint of ' + own.size + ' records has another root, ' + short(own.root) + ': the log was rebuilt, or two logs were shown.');
  };

  const verify = async (section, tell) => {
    const { record, proof, disclosures, key, witnesses } = section.dataset;
    const keys = [...await readKeys(key, LOG), ...await readKeys(witnesses, WITNESS)];
    const bytes = await fetched(record);
    const proved = await fetched(proof, null);
    need(proved, 'this record is not under a signed checkpoint yet; try again in a moment');
    const shown = disclosures ? await fetched(disclosures, encode('[]')) : encode('[]');
    const parsed = readProof(decode(proved));
    await checkPlace(tell, bytes, parsed);
    const complete = await checkSignatures(tell, parsed.checkpoint, keys);
    await checkDisclosures(tell, JSON.parse(decode(bytes)), JSON.parse(decode(shown)));
    const own = section.querySelector('textarea[data-verify-checkpoint]');
    if (own && own.value.trim()) checkOwn(tell, own.value, parsed.checkpoint);
    return complete;
  };

  const start = async (section, button, list) => {
    button.disabled = true;
    list.replaceChildren();
    const tell = teller(list);
    let [complete, finished] = [false, false];
    try {
      need(globalThis.crypto && crypto.subtle, 'this browser offers WebCrypto only on pages it got by https');
      complete = await verify(section, tell);
      finished = true;
    } catch (error) {
      tell.say('bad', 'Could not be checked: ' + error.message);
    }
    const { ok, bad } = tell.counts;
    if (!finished) tell.say('bad', 'This record was not checked to the end.', true);
    else if (bad) tell.say('bad', 'This does not hold: ' + bad + ' of ' + (ok + bad) + ' checks failed.', true);
    else if (complete) tell.say('ok', 'All ' + ok + ' checks hold.', true);
    else tell.say('note', 'What this browser can check holds (' + ok + ' checks); the signatures were not checked.', true);
    button.disabled = false;
  };

  document.querySelectorAll('section[data-verify]').forEach((section) => {
    const button = section.querySelector('[data-verify-start]');
    const list = section.querySelector('[data-verify-result]');
    if (button && list) button.addEventListener('click', () => start(section, button, list));
  });
})();
