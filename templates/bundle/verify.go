// Checks an evidence bundle without Tenure:
//
//	go run verify.go [FOLDER]
//
// Needs Go 1.19 or later, its standard library and nothing else; no network. Says what it checked and how many, and the first
// thing that fails; exit code 0 only when everything holds. It does NOT check the signatures inside the time-stamp tokens
// (anchors/*/*.tsr): that is for `openssl ts -verify`, see README.md. It does check that each token is over its checkpoint, and
// is the one that the log names.
//
// Formats: c2sp.org/signed-note, tlog-checkpoint, tlog-cosignature, tlog-proof; RFC 6962 hashing; RFC 3161 tokens.
package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/bits"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Clocks may differ by so much.
const skew = 300 * time.Second

// Key types of signed notes: a log's signature, a witness's timestamped cosignature.
const (
	logKey     = 1
	witnessKey = 4
)

type failure struct{ text string }

// need ends the checking with the file that fails and why, unless it holds.
func need(holds bool, name, why string, values ...any) {
	if !holds {
		panic(failure{name + ": " + fmt.Sprintf(why, values...)})
	}
}

func must[T any](value T, err error, name string) T {
	need(err == nil, name, "is not as a bundle has it: %v", err)
	return value
}

// ---- small readers ----

var decimal = regexp.MustCompile(`^(0|[1-9][0-9]{0,17})$`)

func number(text, name string) uint64 {
	need(decimal.MatchString(text), name, "“%s” is not a number", text)
	n, err := strconv.ParseUint(text, 10, 63)
	return must(n, err, name)
}

func unbase64(text, name string, length int) []byte {
	data, err := base64.StdEncoding.Strict().DecodeString(text)
	need(err == nil && !strings.ContainsAny(text, "\r\n"), name, "“%.60s” is not base64", text)
	need(length < 0 || len(data) == length, name, "“%.60s” is not the base64 of %d bytes", text, length)
	return data
}

// moment reads a time in UTC, as 2027-01-15T08:00:00.000001Z.
func moment(value any, name string) time.Time {
	text, _ := value.(string)
	need(strings.HasSuffix(text, "Z"), name, "“%v” is not a time in UTC", value)
	at, err := time.Parse(time.RFC3339Nano, text)
	return must(at, err, name)
}

// readJSON reads one JSON value in which no object has a name twice; numbers stay as written.
func readJSON(data []byte, name string) any {
	need(utf8.Valid(data), name, "is not UTF-8")
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	value := readValue(decoder, name)
	_, err := decoder.Token()
	need(errors.Is(err, io.EOF), name, "is not one JSON value")
	return value
}

func readValue(decoder *json.Decoder, name string) any {
	token, err := decoder.Token()
	switch must(token, err, name) {
	case json.Delim('{'):
		object := map[string]any{}
		for decoder.More() {
			key, err := decoder.Token()
			field, _ := must(key, err, name).(string)
			_, twice := object[field]
			need(!twice, name, "“%s” stands twice in one JSON object", field)
			object[field] = readValue(decoder, name)
		}
		_, err := decoder.Token()
		return must(object, err, name)
	case json.Delim('['):
		list := []any{}
		for decoder.More() {
			list = append(list, readValue(decoder, name))
		}
		_, err := decoder.Token()
		return must(list, err, name)
	}
	return token
}

func text(value any) string {
	if value == nil {
		return ""
	}
	return fmt.Sprint(value)
}

func field(value any, field, name string) any {
	object, _ := value.(map[string]any)
	found, there := object[field]
	need(there, name, "has no “%s”", field)
	return found
}

// ---- the Merkle tree of RFC 6962 (steps as in RFC 9162, 2.1.3.2 and 2.1.4.2) ----

type hash [32]byte

func node(left, right hash) hash {
	return sha256.Sum256(append(append([]byte{1}, left[:]...), right[:]...))
}

func hashes(lines []string, name string) []hash {
	var path []hash
	for _, line := range lines {
		path = append(path, *(*hash)(unbase64(line, name, 32)))
	}
	return path
}

// included says whether the entry stands at index in the tree of that size and root.
func included(entry []byte, index, size uint64, root hash, path []hash) bool {
	if index >= size {
		return false
	}
	at, last := index, size-1
	hashed := hash(sha256.Sum256(append([]byte{0}, entry...)))
	for _, sibling := range path {
		if last == 0 {
			return false
		}
		if at&1 == 1 || at == last {
			hashed = node(sibling, hashed)
			zeros := bits.TrailingZeros64(at)
			if at == 0 {
				zeros = 0
			}
			at, last = at>>zeros, last>>zeros
		} else {
			hashed = node(hashed, sibling)
		}
		at, last = at>>1, last>>1
	}
	return last == 0 && hashed == root
}

// consistent says whether the tree of size is the tree of old with leaves added at its end, nothing else changed.
func consistent(old uint64, oldRoot hash, size uint64, root hash, path []hash) bool {
	switch {
	case old > size:
		return false
	case old == size:
		return len(path) == 0 && oldRoot == root
	case old == 0:
		return len(path) == 0 && oldRoot == sha256.Sum256(nil)
	case old&(old-1) == 0:
		path = append([]hash{oldRoot}, path...)
	}
	if len(path) == 0 {
		return false
	}
	at, last := old-1, size-1
	for at&1 == 1 {
		at, last = at>>1, last>>1
	}
	ofOld, ofNew := path[0], path[0]
	for _, sibling := range path[1:] {
		if last == 0 {
			return false
		}
		if at&1 == 1 || at == last {
			ofOld, ofNew = node(sibling, ofOld), node(sibling, ofNew)
			for at&1 == 0 && at != 0 {
				at, last = at>>1, last>>1
			}
		} else {
			ofNew = node(ofNew, sibling)
		}
		at, last = at>>1, last>>1
	}
	return last == 0 && ofOld == oldRoot && ofNew == root
}

// ---- keys, checkpoints, tokens ----

type keyName struct{ name, id string }

type keyRing struct {
	keys  map[keyName]ed25519.PublicKey
	order []keyName
}

// readKeys reads lines `name+id+base64(type, key)`.
func readKeys(data []byte, kind byte, name string) keyRing {
	ring := keyRing{keys: map[keyName]ed25519.PublicKey{}}
	for _, line := range strings.Fields(string(data)) {
		parts := strings.SplitN(line, "+", 3)
		need(len(parts) == 3 && parts[0] != "", name, "“%.60s” is not a verifier key", line)
		key := unbase64(parts[2], name, 33)
		need(key[0] == kind, name, "the key of %s has type %d, not %d", parts[0], key[0], kind)
		id := sha256.Sum256(append([]byte(parts[0]+"\n"), key...))
		need(hex.EncodeToString(id[:4]) == parts[1], name, "%s is not the key's own id", parts[1])
		who := keyName{parts[0], parts[1]}
		ring.keys[who] = key[1:]
		ring.order = append(ring.order, who)
	}
	return ring
}

// note is a signed note's text and who signed it.
type note struct {
	lines    []string
	signers  map[keyName]bool
	cosigned []time.Time
	others   int
}

type checkpoint struct {
	note
	origin string
	size   uint64
	root   hash
}

var signatureLine = regexp.MustCompile(`^— ([^ ]+) ([^ ]+)$`)

func readCheckpoint(data []byte, name string, logs, witnesses keyRing) checkpoint {
	signed := readNote(data, name, logs, witnesses)
	return checkpoint{signed, signed.lines[0], number(signed.lines[1], name), *(*hash)(unbase64(signed.lines[2], name, 32))}
}

// readNote: at least one log key must have signed; every signature of a known key must hold.
func readNote(data []byte, name string, logs, witnesses keyRing) note {
	text := string(data)
	end := strings.LastIndex(text, "\n\n")
	need(end > 0 && strings.HasSuffix(text, "\n") && utf8.ValidString(text), name, "is not a signed note")
	body, lines := text[:end+1], strings.Split(text[:end], "\n")
	need(len(lines) >= 3, name, "is not a signed note")
	for _, line := range lines {
		need(line != "", name, "is not a signed note")
	}
	read := note{lines: lines, signers: map[keyName]bool{}}
	for _, line := range strings.Split(strings.TrimSuffix(text[end+2:], "\n"), "\n") {
		found := signatureLine.FindStringSubmatch(line)
		need(found != nil, name, "“%.60s” is not a signature line", line)
		blob := unbase64(found[2], name, -1)
		need(len(blob) > 4, name, "a signature is too short")
		who := keyName{found[1], hex.EncodeToString(blob[:4])}
		if key, known := logs.keys[who]; known {
			need(len(blob) == 68 && ed25519.Verify(key, []byte(body), blob[4:]), name, "the log's signature does not hold")
			read.signers[who] = true
		} else if key, known := witnesses.keys[who]; known {
			need(len(blob) == 76, name, "the cosignature of %s does not hold", who.name)
			at := binary.BigEndian.Uint64(blob[4:12])
			message := fmt.Sprintf("cosignature/v1\ntime %d\n%s", at, body)
			need(at < 1<<40 && ed25519.Verify(key, []byte(message), blob[12:]), name, "the cosignature of %s does not hold", who.name)
			read.cosigned = append(read.cosigned, time.Unix(int64(at), 0).UTC())
		} else {
			read.others++
		}
	}
	need(len(read.signers) > 0, name, "carries no signature of a key in keys/log.vkey")
	return read
}

type token struct {
	sha256 string
	at     time.Time
}

// elements of a DER sequence's content.
func elements(data []byte, name string) []asn1.RawValue {
	var found []asn1.RawValue
	for len(data) > 0 {
		var element asn1.RawValue
		rest, err := asn1.Unmarshal(data, &element)
		data = must(rest, err, name)
		found = append(found, element)
	}
	return found
}

func oid(value asn1.RawValue, name string) string {
	var id asn1.ObjectIdentifier
	_, err := asn1.Unmarshal(value.FullBytes, &id)
	return must(id, err, name).String()
}

// readToken reads the time out of a TimeStampResp, and sees that it is over that data. Its signature is not looked at.
// Status, then ContentInfo > SignedData > encapsulated TSTInfo: version, policy, imprint, serial number, genTime.
func readToken(data, over []byte, name string) token {
	response := elements(elements(data, name)[0].Bytes, name)
	content := elements(response[1].Bytes, name)
	signed := elements(elements(content[1].Bytes, name)[0].Bytes, name)
	capsule := elements(signed[2].Bytes, name)
	need(oid(capsule[0], name) == "1.2.840.113549.1.9.16.1.4", name, "is not a time-stamp token")
	octets := elements(elements(capsule[1].Bytes, name)[0].Bytes, name)
	info := elements(octets[0].Bytes, name)
	imprint := elements(info[2].Bytes, name)
	digest := map[string]func() []byte{
		"2.16.840.1.101.3.4.2.1": func() []byte { sum := sha256.Sum256(over); return sum[:] },
		"2.16.840.1.101.3.4.2.2": func() []byte { sum := sha512.Sum384(over); return sum[:] },
		"2.16.840.1.101.3.4.2.3": func() []byte { sum := sha512.Sum512(over); return sum[:] },
	}[oid(elements(imprint[0].Bytes, name)[0], name)]
	need(digest != nil && bytes.Equal(digest(), imprint[1].Bytes), name, "is not over the checkpoint beside it")
	at, err := time.Parse("20060102150405Z", string(info[4].Bytes)) // takes a fraction of a second as well
	sum := sha256.Sum256(data)
	return token{hex.EncodeToString(sum[:]), must(at, err, name)}
}

// ---- the checks ----

type bound struct {
	position uint64 // at latest: of a record before this size; at earliest: of a record at this index or after
	at       time.Time
	file     string
}

type tokenName struct {
	size      uint64
	authority string
}

type bundle struct {
	folder           string
	current          string // the file that is being read
	files            map[string]bool
	logs, witnesses  keyRing
	headBytes        []byte
	head             checkpoint
	indexes          []uint64
	records          map[uint64]any
	tokens           map[tokenName]token
	latest, earliest []bound
}

func (b *bundle) read(name string) []byte {
	b.current = name
	data, err := os.ReadFile(filepath.Join(b.folder, filepath.FromSlash(name)))
	need(err == nil, name, "is missing")
	return data
}

func (b *bundle) boundByWitnesses(read checkpoint, name string) {
	for _, at := range read.cosigned {
		b.latest = append(b.latest, bound{read.size, at, name})
		b.earliest = append(b.earliest, bound{read.size, at, name})
	}
}

var sumLine = regexp.MustCompile(`^([0-9a-f]{64}) [ *](?:\./)?([^\\]+)$`)

func (b *bundle) sums() string {
	b.files = map[string]bool{}
	err := filepath.WalkDir(b.folder, func(path string, entry fs.DirEntry, err error) error {
		name, _ := filepath.Rel(b.folder, path)
		name = filepath.ToSlash(name)
		need(err == nil && (entry.IsDir() || entry.Type().IsRegular()), name, "is neither a file nor a folder")
		if !entry.IsDir() {
			b.files[name] = true
		}
		return nil
	})
	must(b.files, err, b.folder)
	listed := map[string]string{}
	for _, line := range strings.Split(strings.TrimSuffix(string(b.read("SHA256SUMS")), "\n"), "\n") {
		found := sumLine.FindStringSubmatch(line)
		need(found != nil && listed[found[2]] == "", "SHA256SUMS", "“%.90s” is not a sum, or stands twice", line)
		listed[found[2]] = found[1]
	}
	for _, name := range sorted(listed) {
		sum := sha256.Sum256(b.read(name))
		need(hex.EncodeToString(sum[:]) == listed[name], name, "is not as SHA256SUMS lists it")
	}
	for _, name := range sorted(b.files) {
		need(listed[name] != "" || name == "SHA256SUMS", name, "is not listed in SHA256SUMS")
	}
	return fmt.Sprintf("%d files are as SHA256SUMS lists them, and there is no other", len(listed))
}

func sorted[T any](of map[string]T) []string {
	var names []string
	for name := range of {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

func (b *bundle) keys() string {
	b.logs = readKeys(b.read("keys/log.vkey"), logKey, "keys/log.vkey")
	need(len(b.logs.order) > 0, "keys/log.vkey", "holds no key")
	for place := range b.logs.order[1:] {
		b.introduced(b.logs.order[place+1], b.logs.order[:place+1])
	}
	der, err := x509.MarshalPKIXPublicKey(b.logs.keys[b.newest()])
	block := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(der, err, "keys/log.pem")})
	need(bytes.Equal(b.read("keys/log.pem"), block), "keys/log.pem", "is not the newest key of keys/log.vkey")
	b.witnesses = readKeys(b.read("keys/witnesses.vkey"), witnessKey, "keys/witnesses.vkey")
	return fmt.Sprintf("%d log keys, each after the first introduced by an older one; %d witness keys", len(b.logs.order), len(b.witnesses.order))
}

// introduced: each key of the log but the first was introduced by one before it, and accepts.
func (b *bundle) introduced(who keyName, older []keyName) {
	name := "keys/rotation-" + who.id
	signed := readNote(b.read(name), name, b.logs, keyRing{})
	vkey := who.name + "+" + who.id + "+" + base64.StdEncoding.EncodeToString(append([]byte{logKey}, b.logs.keys[who]...))
	lines, word := signed.lines, false
	for _, key := range older {
		word = word || signed.signers[key]
	}
	need(len(lines) == 4 && lines[0] == "tenure key rotation" && lines[1] == who.name && lines[3] == vkey &&
		signed.signers[who] && word, name, "does not introduce %s by an older key", vkey)
}

func (b *bundle) newest() keyName { return b.logs.order[len(b.logs.order)-1] }

func (b *bundle) checkpoint() string {
	b.headBytes = b.read("checkpoint")
	b.head = readCheckpoint(b.headBytes, "checkpoint", b.logs, b.witnesses)
	for _, who := range b.logs.order {
		need(who.name == b.head.origin, "keys/log.vkey", "a key is of %s, not of the log %s", who.name, b.head.origin)
	}
	b.boundByWitnesses(b.head, "checkpoint")
	return fmt.Sprintf("the checkpoint (%s, %d records) is signed by %d log keys, cosigned by %d witnesses; %d signatures of unknown "+
		"keys left aside", b.head.origin, b.head.size, len(b.head.signers), len(b.head.cosigned), b.head.others)
}

var proofTop = regexp.MustCompile(`^c2sp\.org/tlog-proof@v1(?:\nextra [^\n]+)?\nindex (\d+)((?:\n[A-Za-z0-9+/=]+)*)$`)

func (b *bundle) recordsAndProofs() string {
	listed := readJSON(b.read("bundle.json"), "bundle.json").(map[string]any)
	if origin, there := listed["origin"]; there {
		need(text(origin) == b.head.origin, "bundle.json", "its origin is not the checkpoint's")
	}
	if size, there := listed["size"]; there {
		need(text(size) == fmt.Sprint(b.head.size), "bundle.json", "its size is not the checkpoint's")
	}
	b.records = map[uint64]any{}
	for _, entry := range field(listed, "records", "bundle.json").([]any) {
		if object, is := entry.(map[string]any); is {
			entry = object["index"]
		}
		index := number(text(entry), "bundle.json")
		need(b.records[index] == nil, "bundle.json", "lists record %d twice", index)
		name, proof := fmt.Sprintf("records/%d.json", index), fmt.Sprintf("proofs/%d.tlog-proof", index)
		bytesOf := b.read(name)
		b.records[index] = readJSON(bytesOf, name).(map[string]any)
		b.indexes = append(b.indexes, index)
		top, note, _ := strings.Cut(string(b.read(proof)), "\n\n")
		found := proofTop.FindStringSubmatch(top)
		need(found != nil && found[1] == fmt.Sprint(index), proof, "is not the proof of record %d", index)
		need(note == string(b.headBytes), proof, "its checkpoint is not the file “checkpoint”")
		path := hashes(strings.Fields(found[2]), proof)
		need(included(bytesOf, index, b.head.size, b.head.root, path), name, "is not in the log as %s says: one of the two was altered", proof)
	}
	sort.Slice(b.indexes, func(i, j int) bool { return b.indexes[i] < b.indexes[j] })
	return fmt.Sprintf("%d records are in the log at their places, byte for byte", len(b.indexes))
}

// atPointer follows a JSON pointer (RFC 6901).
func atPointer(value any, pointer, name string) any {
	unescape := strings.NewReplacer("~1", "/", "~0", "~")
	for _, part := range strings.Split(pointer, "/")[1:] {
		if list, is := value.([]any); is {
			at := number(part, name)
			need(at < uint64(len(list)), name, "the record has nothing at %s", pointer)
			value = list[at]
		} else {
			value = field(value, unescape.Replace(part), name)
		}
	}
	return value
}

// commitment is the digest where the value is a commitment, else empty.
func commitment(value any) string {
	object, _ := value.(map[string]any)
	if len(object) != 1 {
		return ""
	}
	return text(object["hmac"])
}

// commitments counts the places of a record that are commitments.
func commitments(value any) (count int) {
	if commitment(value) != "" {
		return 1
	}
	switch value := value.(type) {
	case map[string]any:
		for _, inner := range value {
			count += commitments(inner)
		}
	case []any:
		for _, inner := range value {
			count += commitments(inner)
		}
	}
	return count
}

func (b *bundle) disclosures() string {
	opened, all := 0, 0
	for _, index := range b.indexes {
		all += commitments(b.records[index])
		name, seen := fmt.Sprintf("disclosures/%d.json", index), map[string]bool{}
		if !b.files[name] {
			continue
		}
		for _, entry := range readJSON(b.read(name), name).([]any) {
			path, value := field(entry, "path", name).(string), field(entry, "value", name).(string)
			digits := field(entry, "key", name).(string)
			key, err := hex.DecodeString(digits)
			need(err == nil && len(key) == 32 && digits == strings.ToLower(digits) && !seen[path], name, "%s stands twice, or its key is not 64 hex digits", path)
			stands := commitment(atPointer(b.records[index], path, name))
			need(stands != "", name, "at %s of the record stands no commitment", path)
			mac := hmac.New(sha256.New, key)
			mac.Write([]byte(value))
			need(hex.EncodeToString(mac.Sum(nil)) == stands, name, "the value shown for %s is not the one that was recorded", path)
			readJSON([]byte(value), name)
			seen[path] = true
		}
		opened += len(seen)
	}
	return fmt.Sprintf("%d values are those recorded; %d more are withheld or erased (their commitments stand)", opened, all-opened)
}

func (b *bundle) anchors() string {
	b.tokens = map[tokenName]token{}
	tokens, sizes := map[uint64][]string{}, []uint64{}
	for _, name := range sorted(b.files) {
		if parts := strings.SplitN(name, "/", 3); parts[0] == "anchors" && len(parts) == 3 {
			size := number(parts[1], name)
			if _, there := tokens[size]; !there {
				tokens[size], sizes = nil, append(sizes, size)
			}
			if strings.HasSuffix(name, ".tsr") {
				tokens[size] = append(tokens[size], name)
			}
		}
	}
	for _, size := range sizes {
		place := fmt.Sprintf("anchors/%d/", size)
		data := b.read(place + "checkpoint")
		old := readCheckpoint(data, place+"checkpoint", b.logs, b.witnesses)
		need(old.origin == b.head.origin && old.size == size, place+"checkpoint", "is of another log or size")
		path := hashes(strings.Fields(string(b.read(place+"consistency"))), place+"consistency")
		need(consistent(size, old.root, b.head.size, b.head.root, path), place+"consistency",
			"the log does not continue that of %d records: it was altered or cut since", size)
		b.boundByWitnesses(old, place+"checkpoint")
		need(len(tokens[size]) > 0, place, "holds no time-stamp token")
		for _, name := range tokens[size] {
			authority := strings.TrimSuffix(strings.TrimPrefix(name, place), ".tsr")
			need(b.files["tsa/"+authority+".pem"], "tsa/"+authority+".pem", "is missing")
			read := readToken(b.read(name), data, name)
			b.tokens[tokenName{size, authority}] = read
			b.latest = append(b.latest, bound{size, read.at, name})
		}
	}
	return fmt.Sprintf("%d anchored checkpoints are beginnings of this log; %d time-stamp tokens are over them "+
		"(their signatures NOT checked: openssl ts -verify)", len(sizes), len(b.tokens))
}

func (b *bundle) heartbeats() string {
	beats := 0
	for _, index := range b.indexes {
		name := fmt.Sprintf("records/%d.json", index)
		b.current = name
		if text(field(b.records[index], "action", name)) != "log.anchored" {
			continue
		}
		detail := field(b.records[index], "detail", name)
		size, authority := number(text(field(detail, "size", name)), name), text(field(detail, "authority", name))
		read, there := b.tokens[tokenName{size, authority}]
		file := fmt.Sprintf("anchors/%d/%s.tsr", size, authority)
		need(there, name, "its token %s is not in the bundle", file)
		need(read.sha256 == text(field(detail, "token_sha256", name)), file, "is not the token that record %d names", index)
		apart := moment(field(detail, "gen_time", name), name).Sub(read.at)
		need(apart > -time.Second && apart < time.Second, name, "its gen_time is not the token's")
		need(index >= size, name, "names a token over a checkpoint that comes after it")
		b.earliest = append(b.earliest, bound{index + 1, read.at, file})
		beats++
	}
	return fmt.Sprintf("%d heartbeats name the tokens that are here", beats)
}

func (b *bundle) times() string {
	sort.Slice(b.latest, func(i, j int) bool { return b.latest[i].position < b.latest[j].position })
	sort.Slice(b.earliest, func(i, j int) bool { return b.earliest[i].position < b.earliest[j].position })
	for i := len(b.latest) - 2; i >= 0; i-- { // at each size, the earliest of all bounds from there on
		if b.latest[i+1].at.Before(b.latest[i].at) {
			b.latest[i].at, b.latest[i].file = b.latest[i+1].at, b.latest[i+1].file
		}
	}
	for i := 1; i < len(b.earliest); i++ { // at each index, the latest of all bounds up to there
		if b.earliest[i-1].at.After(b.earliest[i].at) {
			b.earliest[i].at, b.earliest[i].file = b.earliest[i-1].at, b.earliest[i-1].file
		}
	}
	unanchored, open := 0, 0
	for _, index := range b.indexes {
		name := fmt.Sprintf("records/%d.json", index)
		at := moment(field(b.records[index], "at", name), name)
		after := sort.Search(len(b.latest), func(i int) bool { return b.latest[i].position > index })
		before := sort.Search(len(b.earliest), func(i int) bool { return b.earliest[i].position > index })
		if after < len(b.latest) {
			bound := b.latest[after]
			need(!at.After(bound.at.Add(skew)), name, "says %v, but was in the log at %v (%s) already", at, bound.at, bound.file)
		} else {
			unanchored++
		}
		if before > 0 {
			bound := b.earliest[before-1]
			need(!at.Before(bound.at.Add(-skew)), name, "says %v, but was not in the log yet at %v (%s)", at, bound.at, bound.file)
		} else {
			open++
		}
	}
	return fmt.Sprintf("the times of %d records lie between what was signed outside around them (± %v); %d not anchored yet, "+
		"%d have nothing before them", len(b.indexes), skew, unanchored, open)
}

func (b *bundle) sequence() string {
	type place struct{ seq, index uint64 }
	last := map[string]place{}
	for _, index := range b.indexes {
		name := fmt.Sprintf("records/%d.json", index)
		subject, seq := text(field(b.records[index], "subject", name)), number(text(field(b.records[index], "seq", name)), name)
		before, there := last[subject]
		need(!there || seq > before.seq, name, "is number %d of %s, yet stands after number %d (record %d)", seq, subject, before.seq, before.index)
		last[subject] = place{seq, index}
	}
	return fmt.Sprintf("the order within each of %d subjects is kept", len(last))
}

func (b *bundle) accounted() string {
	known := map[string]bool{}
	for _, name := range strings.Fields("README.md index.html index.xlsx SHA256SUMS bundle.json checkpoint verify.py verify.go " +
		"keys/log.vkey keys/log.pem keys/witnesses.vkey") {
		known[name] = true
	}
	for _, index := range b.indexes {
		for _, form := range []string{"records/%d.json", "proofs/%d.tlog-proof", "disclosures/%d.json"} {
			known[fmt.Sprintf(form, index)] = true
		}
	}
	for _, who := range b.logs.order[1:] {
		known["keys/rotation-"+who.id] = true
	}
	for of := range b.tokens {
		for _, name := range []string{"checkpoint", "consistency", of.authority + ".tsr"} {
			known[fmt.Sprintf("anchors/%d/%s", of.size, name)] = true
		}
		known["tsa/"+of.authority+".pem"] = true
	}
	for _, name := range sorted(b.files) {
		need(known[name], name, "does not belong into a bundle")
	}
	return fmt.Sprintf("every one of %d files has its place", len(b.files))
}

// run does one check and says what it found; whatever it trips over is a failure of the file it was reading.
func (b *bundle) run(check func() string) (held bool) {
	defer func() {
		switch problem := recover().(type) {
		case nil:
		case failure:
			say("FAIL  " + problem.text)
		default:
			say(fmt.Sprintf("FAIL  %s: is not as a bundle has it (%v)", b.current, problem))
		}
	}()
	say("ok    " + check())
	return true
}

// say prints one line; names and texts may be hostile.
func say(line string) {
	fmt.Println(strings.Map(func(character rune) rune {
		if unicode.IsPrint(character) {
			return character
		}
		return '?'
	}, line))
}

func main() {
	b := &bundle{folder: "."}
	if len(os.Args) > 1 {
		b.folder = os.Args[1]
	}
	for _, check := range []func() string{b.sums, b.keys, b.checkpoint, b.recordsAndProofs, b.disclosures, b.anchors, b.heartbeats,
		b.times, b.sequence, b.accounted} {
		if !b.run(check) {
			os.Exit(1)
		}
	}
	fmt.Println("These keys and roots came with the bundle; compare them with those that you were given:")
	for _, name := range sorted(b.files) {
		if strings.HasSuffix(name, ".vkey") {
			for _, line := range strings.Fields(string(b.read(name))) {
				say(line)
			}
		} else if strings.HasPrefix(name, "tsa/") {
			say(fmt.Sprintf("%s SHA-256 %x", name, sha256.Sum256(b.read(name))))
		}
	}
	fmt.Println("All holds, as far as this goes. The signatures inside the time-stamp tokens are for openssl: see README.md.")
}
