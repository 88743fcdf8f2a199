package ledger

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
)

// An entry's value is a format byte; since when, and until when it is in quarantine or 0, in milliseconds since 1970; its
// owner and its tenant, each after its length; and its note.
const entryFormat = 1

func encodeEntry(e Entry) string {
	b := make([]byte, 0, 24+len(e.Owner)+len(e.Tenant)+len(e.Note))
	b = append(b, entryFormat)
	b = binary.AppendVarint(b, millis(e.Since))
	b = binary.AppendVarint(b, millis(e.Until))
	for _, text := range []string{e.Owner, e.Tenant} {
		b = binary.AppendUvarint(b, uint64(len(text)))
		b = append(b, text...)
	}
	return string(append(b, e.Note...))
}

// millis is 0 for no time.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func moment(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

var errEntry = errors.New("not an entry of this format")

// untilOf reads the end of the quarantine alone.
func untilOf(value []byte) (ms int64, err error) {
	if len(value) == 0 || value[0] != entryFormat {
		return 0, errEntry
	}
	_, n := binary.Varint(value[1:])
	if n <= 0 {
		return 0, errEntry
	}
	ms, m := binary.Varint(value[1+n:])
	if m <= 0 {
		return 0, errEntry
	}
	return ms, nil
}

func (l layout) decodeEntry(kv *mvccpb.KeyValue) (Entry, error) {
	e, err := l.readEntry(kv)
	if err != nil {
		return Entry{}, fmt.Errorf("etcd key %q: %w", kv.Key, err)
	}
	return e, nil
}

func (l layout) readEntry(kv *mvccpb.KeyValue) (Entry, error) {
	pool, p, err := parsePlace(kv.Key[len(l.entries):])
	if err != nil {
		return Entry{}, err
	}
	until, err := untilOf(kv.Value)
	if err != nil {
		return Entry{}, err
	}
	since, n := binary.Varint(kv.Value[1:])
	rest := kv.Value[1+n:]
	_, n = binary.Varint(rest)
	rest = rest[n:]
	var texts [2]string
	for i := range texts {
		size, n := binary.Uvarint(rest)
		if n <= 0 || size > uint64(len(rest)-n) {
			return Entry{}, errEntry
		}
		texts[i], rest = string(rest[n:n+int(size)]), rest[n+int(size):]
	}
	return Entry{Owner: texts[0], Pool: pool, Prefix: p, Tenant: texts[1], Note: string(rest),
		Since: moment(since), Until: moment(until), Revision: kv.ModRevision}, nil
}

// blockValue is a block's key's value.
type blockValue struct {
	Closed     bool           `json:"closed,omitempty"`
	Reserved   []netip.Prefix `json:"reserved,omitempty"`
	Quarantine string         `json:"quarantine,omitempty"`
}

func encodeBlock(b Block, quarantine time.Duration) string {
	v, err := json.Marshal(blockValue{b.Closed, b.Reserved, quarantine.String()})
	if err != nil {
		panic(err) // prefixes that were checked can be written
	}
	return string(v)
}

func (l layout) decodeBlock(kv *mvccpb.KeyValue) (Block, time.Duration, error) {
	var v blockValue
	var quarantine time.Duration
	pool, p, err := parsePlace(kv.Key[len(l.blocks):])
	if err == nil {
		err = json.Unmarshal(kv.Value, &v)
	}
	if err == nil {
		quarantine, err = time.ParseDuration(v.Quarantine)
	}
	if err != nil {
		return Block{}, 0, fmt.Errorf("etcd key %q: not a block: %w", kv.Key, err)
	}
	return Block{Pool: pool, Prefix: p, Closed: v.Closed, Reserved: v.Reserved}, quarantine, nil
}

func encodeEpoch(epoch uint64) string { return string(binary.BigEndian.AppendUint64(nil, epoch)) }

func decodeEpoch(kv *mvccpb.KeyValue) (uint64, error) {
	if len(kv.Value) != 8 {
		return 0, fmt.Errorf("etcd key %q: not an epoch", kv.Key)
	}
	return binary.BigEndian.Uint64(kv.Value), nil
}

// endOf is the key that says how an epoch ended.
func (l layout) endOf(epoch uint64) string { return fmt.Sprintf("%s%016x", l.ended, epoch) }

// decodeEnd reads up to which revision of its epoch what was lost is accepted: what Repair knew of, and all that was written by then.
func decodeEnd(kv *mvccpb.KeyValue) (revision int64, err error) {
	if kv == nil {
		return 0, nil
	}
	revision, err = strconv.ParseInt(string(kv.Value), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("etcd key %q: not a revision", kv.Key)
	}
	return max(revision, kv.ModRevision), nil
}

// relative is a key without the root.
func (l layout) relative(key string) string { return strings.TrimPrefix(key, l.root) }
