#!/usr/bin/env python3
"""Checks an evidence bundle without Tenure. Needs Python 3.9 and the program `openssl` 3.0, or later; no network.
Says what it checked and how many, and the first thing that fails; exit code 0 only when everything holds.
  --known CHECKPOINT  a checkpoint of this log that you have from elsewhere (a witness, an earlier bundle): the log must hold to it.
Formats: c2sp.org/signed-note, tlog-checkpoint, tlog-cosignature, tlog-proof; RFC 6962 hashing; RFC 3161 tokens.
"""
import argparse, base64, bisect, collections, hashlib, hmac, itertools, json, os, re, shutil, subprocess, sys, tempfile
from datetime import datetime, timezone
from pathlib import Path

SKEW = 300  # seconds by which clocks may differ
SPKI = bytes.fromhex("302a300506032b6570032100")  # DER in front of the 32 bytes of an Ed25519 public key
Checkpoint = collections.namedtuple("Checkpoint", "origin size root signers cosigned others")

class Failed(Exception):
    pass  # its text names the file of the bundle, and says why

def need(holds, name, why):
    if not holds:
        raise Failed(f"{name}: {why}")

def number(text, name):
    need(re.fullmatch("0|[1-9][0-9]{0,18}", str(text)), name, f"“{text}” is not a number")
    return int(text)

def unbase64(text, name, length=None):
    data = base64.b64decode(text)
    need(base64.b64encode(data).decode() == text and length in (None, len(data)), name, f"“{text[:60]}” is not as base64 has it")
    return data

def seconds(text, name):
    found = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,9})?Z", text, re.ASCII)
    need(found, name, f"“{text}” is not a time like 2027-01-15T08:00:00.000001Z")
    return datetime.strptime(found[1] + "+0000", "%Y-%m-%dT%H:%M:%S%z").timestamp() + float(found[2] or 0)

def clock(moment):
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")

def read_json(data, name):
    def once(pairs):
        need(len(dict(pairs)) == len(pairs), name, "a name stands twice in one JSON object")
        return dict(pairs)
    return json.loads(data.decode("utf-8"), object_pairs_hook=once)

def openssl(arguments, name):
    need(shutil.which("openssl"), name, "cannot be checked: the program openssl is not installed, or not on PATH")
    return subprocess.run(["openssl", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")

def ed25519(key, message, signature, name):  # whether the signature is the key's, by openssl
    with tempfile.TemporaryDirectory() as folder:
        for file, data in (("key", SPKI + key), ("message", message), ("signature", signature)):
            Path(folder, file).write_bytes(data)
        return openssl(["pkeyutl", "-verify", "-rawin", "-pubin", "-keyform", "DER", "-inkey", f"{folder}/key",
                        "-in", f"{folder}/message", "-sigfile", f"{folder}/signature"], name).returncode == 0

# ---- the Merkle tree of RFC 6962 ----
# On the way up the index's bits say whether a hash is the right half of its parent; at the tree's right edge it always is.
def node(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()

def root_by_inclusion(entry, index, size, path):
    """The root that the path leads to from that entry, or None where the path does not fit index and size."""
    inner = (index ^ (size - 1)).bit_length()
    if index >= size or len(path) != inner + bin(index >> inner).count("1"):
        return None
    root = hashlib.sha256(b"\x00" + entry).digest()
    for height, sibling in enumerate(path):
        root = node(sibling, root) if height >= inner or index >> height & 1 else node(root, sibling)
    return root

def consistent(old_size, old_root, size, root, path):
    """Whether the tree of `size` is the tree of `old_size` with leaves added at its end, nothing else changed."""
    if old_size == size or old_size == 0:
        return not path and old_root == (root if old_size else hashlib.sha256(b"").digest())
    zeros = (old_size & -old_size).bit_length() - 1  # the largest full subtree at the old tree's right edge has 2^zeros leaves
    if old_size == 1 << zeros:
        path = [old_root, *path]
    inner, bits = ((old_size - 1) ^ (size - 1)).bit_length() - zeros, (old_size - 1) >> zeros
    if old_size > size or len(path) != 1 + inner + bin(bits >> inner).count("1"):
        return False
    of_old = of_new = path[0]
    for height, sibling in enumerate(path[1:]):
        if height >= inner or bits >> height & 1:
            of_old, of_new = node(sibling, of_old), node(sibling, of_new)
        else:
            of_new = node(of_new, sibling)
    return (of_old, of_new) == (old_root, root)

def read_keys(text, kind, name):  # lines `name+id+base64(type, key)`; answers {(name, id): key} in the file's order
    keys = {}
    for line in text.splitlines():
        parts = line.split("+", 2)
        need(len(parts) == 3 and parts[0] and not re.search(r"\s", line), name, f"“{line[:60]}” is not a verifier key")
        data = unbase64(parts[2], name, 33)
        own = hashlib.sha256(parts[0].encode() + b"\n" + data).hexdigest()[:8]
        need((data[0], own) == (kind, parts[1]), name, f"{line} is of another kind than {kind}, or {parts[1]} is not its own id")
        keys[parts[0], parts[1]] = data[1:]
    return keys

def read_note(data, name, log_keys, witness_keys):
    """A signed note's lines. At least one log key must have signed; every signature of a known key must hold."""
    text = data.decode("utf-8")
    body, empty_line, signatures = text.rpartition("\n\n")
    lines, body = body.split("\n"), body + "\n"
    need(empty_line and signatures.endswith("\n") and len(lines) >= 3 and all(lines), name, "is not a signed note")
    signers, cosigned, others = [], [], 0
    for line in signatures[:-1].split("\n"):
        found = re.fullmatch("— ([^ ]+) ([^ ]+)", line)
        need(found, name, f"“{line[:60]}” is not a signature line")
        blob = unbase64(found[2], name)
        who = (found[1], blob[:4].hex())
        if who in log_keys:
            need(len(blob) == 68 and ed25519(log_keys[who], body.encode(), blob[4:], name), name, "the log's signature does not hold")
            signers.append(who)
        elif who in witness_keys:
            moment = int.from_bytes(blob[4:12], "big")
            message = f"cosignature/v1\ntime {moment}\n{body}".encode()
            need(len(blob) == 76 and ed25519(witness_keys[who], message, blob[12:], name), name, f"{who[0]}'s cosignature does not hold")
            cosigned.append(moment)
        else:
            others += 1
    need(signers, name, "carries no signature of a key in keys/log.vkey")
    return lines, signers, cosigned, others

def read_checkpoint(data, name, log_keys, witness_keys):
    lines, *signatures = read_note(data, name, log_keys, witness_keys)
    return Checkpoint(lines[0], number(lines[1], name), unbase64(lines[2], name, 32), *signatures)

def der(data):  # the elements of a DER sequence's content: [(tag, content), …]
    found, at = [], 0
    while at < len(data):
        tag, length, at = data[at], data[at + 1], at + 2
        if length & 0x80:
            at, length = at + (length & 0x7F), int.from_bytes(data[at:at + (length & 0x7F)], "big")
        found.append((tag, data[at:at + length]))
        at += length
    return found

def token_time(data, name):
    """The time that a TimeStampResp (RFC 3161) states, in seconds."""
    for place in (0, 1, 1, 0, 2, 1, 0, 0, 4):  # response, ContentInfo, [0], SignedData, encapsulated, [0], octets, TSTInfo, genTime
        data = der(data)[place][1]
    return seconds(re.sub(r"^(....)(..)(..)(..)(..)", r"\1-\2-\3T\4:\5:", data.decode("ascii")), name)

def at_pointer(record, pointer):
    for part in pointer.split("/")[1:]:
        record = record[int(part) if isinstance(record, list) else part.replace("~1", "/").replace("~0", "~")]
    return record

def commitments(value):  # how many places of a record are commitments
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 if isinstance(value, dict) and set(value) == {"hmac"} else sum(map(commitments, inner))

class Bundle:
    def __init__(self, folder):
        self.folder, self.name = Path(folder), "."
        self.at_latest, self.at_earliest = [], []  # (index or size, time, file)

    def read(self, name):
        self.name = name
        need((self.folder / name).is_file(), name, "is missing")
        return (self.folder / name).read_bytes()

    def bound_by_witnesses(self, checkpoint, name):
        for bounds in (self.at_latest, self.at_earliest):
            bounds += [(checkpoint.size, moment, name) for moment in checkpoint.cosigned]

    def sums(self):
        self.files, listed = set(), {}
        for path in sorted(self.folder.rglob("*")):
            name = path.relative_to(self.folder).as_posix()
            need(not path.is_symlink() and (path.is_dir() or path.is_file()), name, "is neither a file nor a folder")
            self.files |= {name} if path.is_file() else set()
        for line in self.read("SHA256SUMS").decode("utf-8").splitlines():
            found = re.fullmatch(r"([0-9a-f]{64}) [ *](?:\./)?([^\\]+)", line)
            need(found and found[2] not in listed, "SHA256SUMS", f"“{line[:90]}” is not a sum, or stands twice")
            listed[found[2]] = found[1]
        for name in sorted(self.files - {"SHA256SUMS"} | set(listed)):
            need(hashlib.sha256(self.read(name)).hexdigest() == listed.get(name), name, "is not as SHA256SUMS lists it, or not listed")
        return f"{len(listed)} files are as SHA256SUMS lists them, and there is no other"

    def keys(self):
        self.log_keys = read_keys(self.read("keys/log.vkey").decode(), 1, "keys/log.vkey")
        for place, (who, key) in enumerate(self.log_keys.items()):
            name, vkey = f"keys/rotation-{who[1]}", "+".join([*who, base64.b64encode(b"\x01" + key).decode()])
            if place:  # each key but the first was introduced by one before it, and accepts
                (title, origin, _, new), signers, *_ = read_note(self.read(name), name, self.log_keys, {})
                holds = (title, origin, new) == ("tenure key rotation", who[0], vkey) and who in signers
                need(holds and set(signers) & set(list(self.log_keys)[:place]), name, f"does not introduce {vkey} by an older key")
        pem = f"-----BEGIN PUBLIC KEY-----\n{base64.b64encode(SPKI + key).decode()}\n-----END PUBLIC KEY-----\n"
        need(self.read("keys/log.pem").decode() == pem, "keys/log.pem", "is not the newest key of keys/log.vkey")
        self.witness_keys = read_keys(self.read("keys/witnesses.vkey").decode(), 4, "keys/witnesses.vkey")
        return f"{len(self.log_keys)} log keys, each after the first introduced by an older one; {len(self.witness_keys)} witness keys"

    def checkpoint(self):
        self.head = head = read_checkpoint(self.read("checkpoint"), "checkpoint", self.log_keys, self.witness_keys)
        need({origin for origin, _ in self.log_keys} == {head.origin}, "keys/log.vkey", f"a key is not of the log {head.origin}")
        self.bound_by_witnesses(head, "checkpoint")
        counts = f"{len(head.signers)} signatures of the log, {len(head.cosigned)} of witnesses, {head.others} by unknown keys"
        return f"the checkpoint of {head.origin} at {head.size} records: {counts}"

    def records_and_proofs(self):
        head, listed = self.read("checkpoint"), read_json(self.read("bundle.json"), "bundle.json")
        for field, value in (("origin", self.head.origin), ("size", self.head.size)):
            need(str(listed.get(field, value)) == str(value), "bundle.json", f"its {field} is not the checkpoint's")
        indexes = [number(entry["index"] if isinstance(entry, dict) else entry, "bundle.json") for entry in listed["records"]]
        self.records = {}
        for index in sorted(set(indexes)):
            entry, proof = self.read(f"records/{index}.json"), f"proofs/{index}.tlog-proof"
            self.records[index] = read_json(entry, f"records/{index}.json")
            top, _, note = self.read(proof).decode("utf-8").partition("\n\n")
            found = re.fullmatch(r"c2sp\.org/tlog-proof@v1(?:\nextra [^\n]+)?\nindex (\d+)((?:\n[A-Za-z0-9+/=]+)*)", top)
            need(found and found[1] == str(index), proof, f"is not the proof of record {index}")
            need(note.encode() == head, proof, "its checkpoint is not the file “checkpoint”")
            root = root_by_inclusion(entry, index, self.head.size, [unbase64(line, proof, 32) for line in found[2].split()])
            need(root == self.head.root, f"records/{index}.json", f"is not in the log as {proof} says: one of the two was altered")
        return f"{len(self.records)} records are in the log at their places, byte for byte"

    def disclosures(self):
        opened = 0
        for index, record in self.records.items():
            name, seen = f"disclosures/{index}.json", set()
            for entry in read_json(self.read(name), name) if name in self.files else []:
                path, value, key = entry["path"], entry["value"], entry["key"]
                stands = at_pointer(record, path)
                need(isinstance(stands, dict) and set(stands) == {"hmac"}, name, f"at {path} of the record stands no commitment")
                need(re.fullmatch("[0-9a-f]{64}", key) and path not in seen, name, f"{path} stands twice, or its key is not 64 hex digits")
                made = hmac.new(bytes.fromhex(key), value.encode("utf-8"), hashlib.sha256).hexdigest()
                need(made == stands["hmac"], name, f"the value shown for {path} is not the one that was recorded")
                read_json(value.encode("utf-8"), name)
                seen.add(path)
            opened += len(seen)
        closed = sum(map(commitments, self.records.values())) - opened
        return f"{opened} values are those recorded; {closed} more are withheld or erased (their commitments stand)"

    def anchors(self):
        self.roots, self.tokens = {}, {}  # size: root; (size, authority): (sha256 of the token, its time)
        sizes = {name.split("/")[1] for name in self.files if name.startswith("anchors/")}
        for size in sorted(number(text, "anchors/" + text) for text in sizes):
            place = f"anchors/{size}"
            old = read_checkpoint(self.read(f"{place}/checkpoint"), f"{place}/checkpoint", self.log_keys, self.witness_keys)
            need((old.origin, old.size) == (self.head.origin, size), f"{place}/checkpoint", "is of another log or size")
            path = [unbase64(line, f"{place}/consistency", 32) for line in self.read(f"{place}/consistency").decode().split()]
            holds = consistent(size, old.root, self.head.size, self.head.root, path)
            need(holds, f"{place}/consistency", f"the log does not continue that of {size} records: it was altered or cut since")
            self.roots[size] = old.root
            self.bound_by_witnesses(old, f"{place}/checkpoint")
            tokens = sorted(name for name in self.files if name.startswith(place + "/") and name.endswith(".tsr"))
            need(tokens, place, "holds no time-stamp token")
            for name in tokens:
                authority = name[len(place) + 1:-4]
                token, roots, moment = self.read(name), f"tsa/{authority}.pem", token_time(self.read(name), name)
                said = openssl(["ts", "-verify", "-in", self.folder / name, "-data", self.folder / place / "checkpoint", "-CAfile",
                                self.folder / roots, "-untrusted", self.folder / roots, "-attime", str(int(moment))], name)
                need(said.returncode == 0, name, f"does not hold over {place}/checkpoint with {roots}: {said.stderr[-200:]}")
                self.tokens[size, authority] = (hashlib.sha256(token).hexdigest(), moment)
                self.at_latest.append((size, moment, name))
        return f"{len(sizes)} anchored checkpoints are beginnings of this log, with {len(self.tokens)} time-stamp tokens over them"

    def heartbeats(self):
        beats = {index: record["detail"] for index, record in self.records.items() if record["action"] == "log.anchored"}
        for index, detail in beats.items():
            self.name = name = f"records/{index}.json"
            size, authority = number(detail["size"], name), detail["authority"]
            need((size, authority) in self.tokens, name, f"its token anchors/{size}/{authority}.tsr is not in the bundle")
            digest, moment = self.tokens[size, authority]
            need(digest == detail["token_sha256"], f"anchors/{size}/{authority}.tsr", f"is not the token that record {index} names")
            need(abs(seconds(detail["gen_time"], name) - moment) < 1, name, "its gen_time is not the token's")
            need(index >= size, name, "names a token over a checkpoint that comes after it")
            self.at_earliest.append((index + 1, moment, f"anchors/{size}/{authority}.tsr"))
        return f"{len(beats)} heartbeats name the tokens that are here"

    def times(self):
        late, early = sorted(self.at_latest), sorted(self.at_earliest)
        sizes, starts = [bound[0] for bound in late], [bound[0] for bound in early]
        first_after = list(itertools.accumulate([bound[1:] for bound in reversed(late)], min))[::-1]
        last_before = list(itertools.accumulate([bound[1:] for bound in early], max))
        unanchored = open_below = 0
        for index, record in self.records.items():
            self.name = name = f"records/{index}.json"
            at, after, before = seconds(record["at"], name), bisect.bisect_right(sizes, index), bisect.bisect_right(starts, index)
            if after < len(sizes):
                moment, witness = first_after[after]
                need(at <= moment + SKEW, name, f"says {record['at']}, but was in the log at {clock(moment)} ({witness}) already")
            if before:
                moment, witness = last_before[before - 1]
                need(at >= moment - SKEW, name, f"says {record['at']}, but was not in the log yet at {clock(moment)} ({witness})")
            unanchored, open_below = unanchored + (after == len(sizes)), open_below + (not before)
        return (f"the times of {len(self.records)} records lie between what was signed outside around them (± {SKEW} s); "
                f"{unanchored} not anchored yet, {open_below} have nothing before them")

    def sequence(self):
        last = {}
        for index in sorted(self.records):
            self.name = name = f"records/{index}.json"
            subject, seq = self.records[index]["subject"], number(self.records[index]["seq"], name)
            before = last.get(subject, (-1, None))
            need(seq > before[0], name, f"is number {seq} of {subject}, yet stands after number {before[0]} (record {before[1]})")
            last[subject] = (seq, index)
        return f"the order within each of {len(last)} subjects is kept"

    def accounted(self):
        known = {"README.md", "index.html", "index.xlsx", "SHA256SUMS", "bundle.json", "checkpoint", "verify.py", "verify.go",
                 "keys/log.vkey", "keys/log.pem", "keys/witnesses.vkey", *(f"keys/rotation-{who[1]}" for who in list(self.log_keys)[1:])}
        for index in self.records:
            known |= {f"records/{index}.json", f"proofs/{index}.tlog-proof", f"disclosures/{index}.json"}
        for size, authority in self.tokens:
            known |= {f"anchors/{size}/{name}" for name in ("checkpoint", "consistency", authority + ".tsr")} | {f"tsa/{authority}.pem"}
        for name in sorted(self.files):
            need(name in known, name, "does not belong into a bundle")
        return f"every one of {len(self.files)} files has its place"

    def known(self, file):
        theirs = read_checkpoint(Path(file).read_bytes(), file, self.log_keys, self.witness_keys)
        need(theirs.origin == self.head.origin, "checkpoint", f"is of {self.head.origin}, yours of {theirs.origin}")
        need(theirs.size <= self.head.size, file, f"has {theirs.size} records: newer than the bundle, or the log's end was cut off")
        root = {**self.roots, self.head.size: self.head.root}.get(theirs.size)
        need(root, file, f"the bundle shows no root at {theirs.size} records to compare with")
        need(root == theirs.root, file, f"another root at {theirs.size} records: the log was rebuilt, or two logs were shown")
        return f"your checkpoint of {theirs.size} records has the same root"

def say(text):
    print("".join(character if character.isprintable() else "?" for character in text))  # names and texts may be hostile

def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("folder", nargs="?", default=".")
    options.add_argument("--known", metavar="CHECKPOINT")
    given = options.parse_args()
    bundle = Bundle(given.folder)
    for step in (bundle.sums, bundle.keys, bundle.checkpoint, bundle.records_and_proofs, bundle.disclosures, bundle.anchors,
                 bundle.heartbeats, bundle.times, bundle.sequence, bundle.accounted, *[lambda: bundle.known(given.known)] * bool(given.known)):
        try:
            said = "ok    " + step()
        except Exception as error:  # whatever a reader trips over in a hostile file is a failure of that file
            said = f"FAIL  {error}" if isinstance(error, Failed) else f"FAIL  {bundle.name}: is not as a bundle has it ({error!r})"
        say(said)
        if said.startswith("FAIL"):
            return 1
    print("These keys and roots came with the bundle; compare them with those that you were given:")
    for name in sorted(name for name in bundle.files if name.endswith(".vkey") or name.startswith("tsa/")):
        digest = f"{name} SHA-256 {hashlib.sha256(bundle.read(name)).hexdigest()}"
        for line in bundle.read(name).decode().split() if name.endswith(".vkey") else [digest]:
            say(line)
    print("All holds.")
    return 0

if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8", errors="replace")
    sys.exit(main())
