package feedgrpc

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/feed/feedpb"
	"github.com/meridian-federation/meridian/internal/record"
)

// encode is the wire form of a message. The content of records is not copied.
func encode(m feed.Message) *feedpb.Frame {
	switch m := m.(type) {
	case feed.Hello:
		return &feedpb.Frame{Message: &feedpb.Frame_Hello{Hello: &feedpb.Hello{Protocol: m.Protocol, Role: text(m.Role),
			Path: text(m.Path), Release: text(m.Release), Window: uint32(m.Window)}}}
	case feed.Goodbye:
		return &feedpb.Frame{Message: &feedpb.Frame_Goodbye{Goodbye: &feedpb.Goodbye{Reason: text(m.Reason),
			Redirect: text(m.Redirect), RetryAfterNanos: int64(m.RetryAfter)}}}
	case feed.Peers:
		return &feedpb.Frame{Message: &feedpb.Frame_Peers{Peers: encodePeers(m)}}
	case feed.Root:
		return &feedpb.Frame{Message: &feedpb.Frame_Root{Root: &feedpb.Root{Round: m.Round,
			Digest: appendDigest(nil, m.Digest), Position: encodePosition(m.Position), Fence: encodeFence(m.Fence)}}}
	case feed.Equal:
		return &feedpb.Frame{Message: &feedpb.Frame_Equal{Equal: &feedpb.Equal{Round: m.Round}}}
	case feed.Differ:
		return &feedpb.Frame{Message: &feedpb.Frame_Differ{Differ: encodeDiffer(m)}}
	case feed.Select:
		return &feedpb.Frame{Message: &feedpb.Frame_Select{Select: encodeSelect(m)}}
	case feed.Lists:
		return &feedpb.Frame{Message: &feedpb.Frame_Lists{Lists: encodeLists(m)}}
	case feed.Batch:
		return &feedpb.Frame{Message: &feedpb.Frame_Batch{Batch: encodeBatch(m)}}
	case feed.Ack:
		return &feedpb.Frame{Message: &feedpb.Frame_Ack{Ack: &feedpb.Ack{Id: m.ID, Rejected: encodeRejections(m.Rejected),
			Held: encodeKeys(m.Held)}}}
	case feed.Report:
		return &feedpb.Frame{Message: &feedpb.Frame_Report{Report: &feedpb.Report{Rejected: encodeRejections(m.Rejected),
			Accepted: encodeKeyVersions(m.Accepted)}}}
	case feed.Told:
		return &feedpb.Frame{Message: &feedpb.Frame_Told{Told: &feedpb.Told{}}}
	case feed.Again:
		return &feedpb.Frame{Message: &feedpb.Frame_Again{Again: &feedpb.Again{}}}
	case feed.Want:
		return &feedpb.Frame{Message: &feedpb.Frame_Want{Want: &feedpb.Want{Keys: encodeKeys(m.Keys)}}}
	case feed.Refused:
		r := m.Refusal
		return &feedpb.Frame{Message: &feedpb.Frame_Refused{Refused: &feedpb.Refused{Kind: string(r.Kind),
			Reason: text(r.Reason), Position: encodePosition(r.Position), Fence: encodeFence(r.Fence),
			Floor: encodePosition(r.Floor), Highest: encodeFence(r.Highest)}}}
	case feed.Question:
		return &feedpb.Frame{Message: &feedpb.Frame_Question{Question: &feedpb.Question{Id: m.ID, Kind: text(m.Kind),
			Payload: m.Payload, PatienceNanos: int64(m.Patience)}}}
	case feed.Cancel:
		return &feedpb.Frame{Message: &feedpb.Frame_Cancel{Cancel: &feedpb.Cancel{Id: m.ID}}}
	case feed.Answer:
		return &feedpb.Frame{Message: &feedpb.Frame_Answer{Answer: &feedpb.Answer{Id: m.ID, Payload: m.Payload,
			Error: text(m.Error)}}}
	}
	panic(fmt.Sprintf("feedgrpc: no wire form of %T", m))
}

// text makes a string that protobuf takes: one made for people may come from anywhere.
func text(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// encodePeers names as many addresses as one peer may; any of them will do.
func encodePeers(m feed.Peers) *feedpb.Peers {
	out := &feedpb.Peers{Addresses: make([]string, min(len(m.Addresses), maxPeers))}
	for i := range out.Addresses {
		out.Addresses[i] = text(m.Addresses[i])
	}
	return out
}

func appendDigest(b []byte, d feed.Digest) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, d.Hi), d.Lo)
}

func encodePosition(p feed.Position) *feedpb.Position {
	return &feedpb.Position{Epoch: p.Epoch, Revision: p.Revision}
}

func encodeFence(f feed.Fence) *feedpb.Fence { return &feedpb.Fence{Epoch: f.Epoch, Fence: f.Fence} }

func encodeKey(k record.Key) *feedpb.Key {
	return &feedpb.Key{Kind: []byte(k.Kind), Name: []byte(k.Name)}
}

func encodeKeys(keys []record.Key) []*feedpb.Key {
	out := make([]*feedpb.Key, len(keys))
	for i, k := range keys {
		out[i] = encodeKey(k)
	}
	return out
}

func encodeVersion(v record.Version) []byte {
	if v.IsZero() {
		return nil
	}
	return v[:]
}

func encodeKeyVersions(kvs []record.KeyVersion) []*feedpb.KeyVersion {
	out := make([]*feedpb.KeyVersion, len(kvs))
	for i, kv := range kvs {
		out[i] = &feedpb.KeyVersion{Key: encodeKey(kv.Key), Version: encodeVersion(kv.Version)}
	}
	return out
}

func encodeDiffer(m feed.Differ) *feedpb.Differ {
	digests := make([]byte, 0, digestSize*feed.Buckets)
	for _, d := range m.Digests {
		digests = appendDigest(digests, d)
	}
	return &feedpb.Differ{Round: m.Round, Digests: digests}
}

func encodeSelect(m feed.Select) *feedpb.Select {
	out := &feedpb.Select{Round: m.Round, Buckets: make([]uint32, len(m.Buckets))}
	for i, b := range m.Buckets {
		out.Buckets[i] = uint32(b)
	}
	return out
}

func encodeLists(m feed.Lists) *feedpb.Lists {
	out := &feedpb.Lists{Round: m.Round, Lists: make([]*feedpb.List, len(m.Lists))}
	for i, l := range m.Lists {
		out.Lists[i] = &feedpb.List{Bucket: uint32(l.Bucket), Keys: encodeKeyVersions(l.Keys)}
	}
	return out
}

func encodeBatch(m feed.Batch) *feedpb.Batch {
	out := &feedpb.Batch{Id: m.ID, Position: encodePosition(m.Position), Fence: encodeFence(m.Fence),
		Puts: make([]*feedpb.Record, len(m.Puts)), Removals: make([]*feedpb.Removal, len(m.Removals))}
	for i, r := range m.Puts {
		out.Puts[i] = &feedpb.Record{Key: encodeKey(r.Key), Version: encodeVersion(r.Version), Content: r.Content}
	}
	for i, r := range m.Removals {
		out.Removals[i] = &feedpb.Removal{Key: encodeKey(r.Key), Cause: encodeCause(r.Cause)}
	}
	return out
}

func encodeCause(c record.Cause) feedpb.Cause {
	switch c {
	case record.CausePerson:
		return feedpb.Cause_CAUSE_PERSON
	case record.CauseScope:
		return feedpb.Cause_CAUSE_SCOPE
	default:
		return feedpb.Cause_CAUSE_FOUND
	}
}

func encodeRejections(rejections []feed.Rejection) []*feedpb.Rejection {
	out := make([]*feedpb.Rejection, len(rejections))
	for i, r := range rejections {
		out[i] = &feedpb.Rejection{Key: encodeKey(r.Key), Version: encodeVersion(r.Version), Reason: text(r.Reason),
			Message: text(r.Message)}
	}
	return out
}
