package feedgrpc

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/feed/feedpb"
	"github.com/meridian-federation/meridian/internal/record"
)

const digestSize = 16

// decode reads a message; nil, with no error, is one of a kind that this release does not know. One that goes beyond the
// bounds is an error.
func decode(f *feedpb.Frame) (feed.Message, error) {
	switch m := f.GetMessage().(type) {
	case *feedpb.Frame_Hello:
		return decodeHello(m.Hello)
	case *feedpb.Frame_Goodbye:
		return decodeGoodbye(m.Goodbye)
	case *feedpb.Frame_Peers:
		return decodePeers(m.Peers)
	case *feedpb.Frame_Root:
		return decodeRoot(m.Root)
	case *feedpb.Frame_Equal:
		return feed.Equal{Round: m.Equal.GetRound()}, nil
	case *feedpb.Frame_Differ:
		return decodeDiffer(m.Differ)
	case *feedpb.Frame_Select:
		return decodeSelect(m.Select)
	case *feedpb.Frame_Lists:
		return decodeLists(m.Lists)
	case *feedpb.Frame_Batch:
		return decodeBatch(m.Batch)
	case *feedpb.Frame_Ack:
		return decodeAck(m.Ack)
	case *feedpb.Frame_Report:
		return decodeReport(m.Report)
	case *feedpb.Frame_Told:
		return feed.Told{}, nil
	case *feedpb.Frame_Again:
		return feed.Again{}, nil
	case *feedpb.Frame_Want:
		keys, err := decodeKeys(m.Want.GetKeys())
		return feed.Want{Keys: keys}, err
	case *feedpb.Frame_Refused:
		r := m.Refused
		return feed.Refused{Refusal: feed.Refusal{Kind: feed.RefusalKind(r.GetKind()), Reason: cut(r.GetReason()),
			Position: decodePosition(r.GetPosition()), Fence: decodeFence(r.GetFence()),
			Floor: decodePosition(r.GetFloor()), Highest: decodeFence(r.GetHighest())}}, within("kind", r.GetKind(), maxReason)
	case *feedpb.Frame_Question:
		return decodeQuestion(m.Question)
	case *feedpb.Frame_Cancel:
		return feed.Cancel{ID: m.Cancel.GetId()}, nil
	case *feedpb.Frame_Answer:
		return feed.Answer{ID: m.Answer.GetId(), Payload: m.Answer.GetPayload(), Error: cut(m.Answer.GetError())},
			within("payload", m.Answer.GetPayload(), feed.MaxPayload)
	}
	return nil, nil
}

// within refuses a text, or bytes, longer than may be.
func within[T ~string | ~[]byte](what string, v T, most int) error {
	if len(v) > most {
		return fmt.Errorf("%s of %d bytes is longer than %d", what, len(v), most)
	}
	return nil
}

// cut shortens what is for people.
func cut(s string) string {
	if len(s) > maxText {
		return text(s[:maxText])
	}
	return s
}

func decodeHello(h *feedpb.Hello) (feed.Message, error) {
	err := errors.Join(within("role", h.GetRole(), maxRole), within("path", h.GetPath(), maxPath),
		within("release", h.GetRelease(), maxRelease))
	return feed.Hello{Protocol: h.GetProtocol(), Role: h.GetRole(), Path: h.GetPath(), Release: h.GetRelease(),
		Window: int(min(h.GetWindow(), 1<<16))}, err
}

func decodeGoodbye(g *feedpb.Goodbye) (feed.Message, error) {
	return feed.Goodbye{Reason: cut(g.GetReason()), Redirect: g.GetRedirect(),
		RetryAfter: time.Duration(g.GetRetryAfterNanos())}, within("redirect", g.GetRedirect(), maxAddress)
}

func decodeQuestion(q *feedpb.Question) (feed.Message, error) {
	err := errors.Join(within("kind", q.GetKind(), maxReason), within("payload", q.GetPayload(), feed.MaxPayload))
	return feed.Question{ID: q.GetId(), Kind: q.GetKind(), Payload: q.GetPayload(),
		Patience: time.Duration(q.GetPatienceNanos())}, err
}

func decodePeers(p *feedpb.Peers) (feed.Message, error) {
	if len(p.GetAddresses()) > maxPeers {
		return nil, fmt.Errorf("%d addresses are more than the %d that a peer may name", len(p.GetAddresses()), maxPeers)
	}
	for _, address := range p.GetAddresses() {
		if err := within("address", address, maxAddress); err != nil {
			return nil, err
		}
	}
	return feed.Peers{Addresses: p.GetAddresses()}, nil
}

func decodePosition(p *feedpb.Position) feed.Position {
	return feed.Position{Epoch: p.GetEpoch(), Revision: p.GetRevision()}
}

func decodeFence(f *feedpb.Fence) feed.Fence {
	return feed.Fence{Epoch: f.GetEpoch(), Fence: f.GetFence()}
}

func decodeRoot(r *feedpb.Root) (feed.Message, error) {
	if len(r.GetDigest()) != digestSize {
		return nil, fmt.Errorf("a root of %d bytes is not one of %d", len(r.GetDigest()), digestSize)
	}
	return feed.Root{Round: r.GetRound(), Digest: decodeDigest(r.GetDigest()), Position: decodePosition(r.GetPosition()),
		Fence: decodeFence(r.GetFence())}, nil
}

func decodeDigest(b []byte) feed.Digest {
	return feed.Digest{Hi: binary.BigEndian.Uint64(b), Lo: binary.BigEndian.Uint64(b[8:])}
}

func decodeDiffer(m *feedpb.Differ) (feed.Message, error) {
	b := m.GetDigests()
	if len(b) != digestSize*feed.Buckets {
		return nil, fmt.Errorf("bucket digests of %d bytes are not %d", len(b), digestSize*feed.Buckets)
	}
	out := feed.Differ{Round: m.GetRound(), Digests: new([feed.Buckets]feed.Digest)}
	for i := range out.Digests {
		out.Digests[i] = decodeDigest(b[i*digestSize:])
	}
	return out, nil
}

func decodeSelect(m *feedpb.Select) (feed.Message, error) {
	if len(m.GetBuckets()) > feed.Buckets {
		return nil, fmt.Errorf("%d buckets are more than there are", len(m.GetBuckets()))
	}
	out := feed.Select{Round: m.GetRound(), Buckets: make([]int, len(m.GetBuckets()))}
	for i, b := range m.GetBuckets() {
		if b >= feed.Buckets {
			return nil, fmt.Errorf("there is no bucket %d", b)
		}
		out.Buckets[i] = int(b)
	}
	return out, nil
}

func decodeLists(m *feedpb.Lists) (feed.Message, error) {
	out := feed.Lists{Round: m.GetRound(), Lists: make([]feed.List, len(m.GetLists()))}
	for i, l := range m.GetLists() {
		if l.GetBucket() >= feed.Buckets {
			return nil, fmt.Errorf("there is no bucket %d", l.GetBucket())
		}
		keys, err := decodeKeyVersions(l.GetKeys())
		if err != nil {
			return nil, err
		}
		out.Lists[i] = feed.List{Bucket: int(l.GetBucket()), Keys: keys}
	}
	return out, nil
}

func decodeBatch(m *feedpb.Batch) (feed.Message, error) {
	if n := len(m.GetPuts()) + len(m.GetRemovals()); n > maxBatch {
		return nil, fmt.Errorf("a batch of %d records and removals is larger than %d", n, maxBatch)
	}
	out := feed.Batch{ID: m.GetId(), Position: decodePosition(m.GetPosition()), Fence: decodeFence(m.GetFence()),
		Puts: make([]*record.Record, len(m.GetPuts())), Removals: make([]feed.Removal, len(m.GetRemovals()))}
	for i, r := range m.GetPuts() {
		kv, err := decodeKeyVersion(r.GetKey(), r.GetVersion())
		if err != nil {
			return nil, err
		}
		if kv.Version.IsZero() {
			return nil, fmt.Errorf("record %s has no version", kv.Key)
		}
		if err := within("content", r.GetContent(), feed.MaxRecord); err != nil {
			return nil, fmt.Errorf("record %s: %w", kv.Key, err)
		}
		out.Puts[i] = &record.Record{Key: kv.Key, Version: kv.Version, Content: r.GetContent()}
	}
	for i, r := range m.GetRemovals() {
		key, err := decodeKey(r.GetKey())
		if err != nil {
			return nil, err
		}
		out.Removals[i] = feed.Removal{Key: key, Cause: decodeCause(r.GetCause())}
	}
	return out, nil
}

// decodeCause reads a cause; one of a later release is taken for a mere difference, which the guard counts.
func decodeCause(c feedpb.Cause) record.Cause {
	switch c {
	case feedpb.Cause_CAUSE_PERSON:
		return record.CausePerson
	case feedpb.Cause_CAUSE_SCOPE:
		return record.CauseScope
	default:
		return record.CauseFound
	}
}

func decodeAck(m *feedpb.Ack) (feed.Message, error) {
	rejected, err := decodeRejections(m.GetRejected())
	if err != nil {
		return nil, err
	}
	held, err := decodeKeys(m.GetHeld())
	return feed.Ack{ID: m.GetId(), Rejected: rejected, Held: held}, err
}

func decodeReport(m *feedpb.Report) (feed.Message, error) {
	rejected, err := decodeRejections(m.GetRejected())
	if err != nil {
		return nil, err
	}
	accepted, err := decodeKeyVersions(m.GetAccepted())
	return feed.Report{Rejected: rejected, Accepted: accepted}, err
}

func decodeRejections(rejections []*feedpb.Rejection) ([]feed.Rejection, error) {
	var out []feed.Rejection
	for _, r := range rejections {
		kv, err := decodeKeyVersion(r.GetKey(), r.GetVersion())
		if err != nil {
			return nil, err
		}
		if err := within("reason", r.GetReason(), maxReason); err != nil {
			return nil, err
		}
		out = append(out, feed.Rejection{Key: kv.Key, Version: kv.Version, Reason: r.GetReason(), Message: cut(r.GetMessage())})
	}
	return out, nil
}

func decodeKey(k *feedpb.Key) (record.Key, error) {
	if len(k.GetKind()) > maxKind || len(k.GetName()) > maxName {
		return record.Key{}, fmt.Errorf("a key of %d and %d bytes is longer than %d and %d", len(k.GetKind()), len(k.GetName()),
			maxKind, maxName)
	}
	if len(k.GetKind()) == 0 || len(k.GetName()) == 0 || bytes.IndexByte(k.GetKind(), '/') >= 0 {
		return record.Key{}, fmt.Errorf("%q/%q is not KIND/NAME", k.GetKind(), k.GetName())
	}
	return record.Key{Kind: kind(k.GetKind()), Name: string(k.GetName())}, nil
}

// kind reads a kind, and spares a string for each record of one that this release knows.
func kind(b []byte) record.Kind {
	for _, k := range [...]record.Kind{record.KindObject, record.KindStatus, record.KindRevision, record.KindService,
		record.KindAssignment, record.KindCluster, record.KindHealth, record.KindStanding} {
		if string(b) == string(k) {
			return k
		}
	}
	return record.Kind(b)
}

func decodeKeys(keys []*feedpb.Key) ([]record.Key, error) {
	var out []record.Key
	for _, k := range keys {
		key, err := decodeKey(k)
		if err != nil {
			return nil, err
		}
		out = append(out, key)
	}
	return out, nil
}

func decodeKeyVersion(k *feedpb.Key, version []byte) (record.KeyVersion, error) {
	key, err := decodeKey(k)
	if err != nil {
		return record.KeyVersion{}, err
	}
	kv := record.KeyVersion{Key: key}
	if len(version) != 0 && len(version) != len(kv.Version) {
		return record.KeyVersion{}, fmt.Errorf("the version of %s has %d bytes, not %d", key, len(version), len(kv.Version))
	}
	copy(kv.Version[:], version)
	return kv, nil
}

func decodeKeyVersions(kvs []*feedpb.KeyVersion) ([]record.KeyVersion, error) {
	var out []record.KeyVersion
	for _, p := range kvs {
		kv, err := decodeKeyVersion(p.GetKey(), p.GetVersion())
		if err != nil {
			return nil, err
		}
		out = append(out, kv)
	}
	return out, nil
}
