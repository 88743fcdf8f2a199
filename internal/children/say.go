package children

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/meridian-federation/meridian/internal/audit"
	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// NotYours is the error of a record that is not the child's to tell.
type NotYours struct{ why string }

// Foreign makes a NotYours.
func Foreign(format string, args ...any) error { return &NotYours{fmt.Sprintf(format, args...)} }

func (e *NotYours) Error() string { return e.why }

// Reject makes the rejection of a record of what is wrong with it.
func Reject(r record.Record, err error) feed.Rejection {
	reason := "InvalidRecord"
	var foreign *NotYours
	if errors.As(err, &foreign) {
		reason = feed.ReasonNotYours
	}
	return feed.Rejection{Key: r.Key, Version: r.Version, Reason: reason, Message: err.Error()}
}

// Sift parts what a child puts into what it may tell by the key, and rejections of the rest.
func Sift(puts []*record.Record, may func(record.Key) error) (own []*record.Record, rejected []feed.Rejection) {
	for i, r := range puts {
		err := may(r.Key)
		switch {
		case err != nil && rejected == nil:
			own, rejected = slices.Clone(puts[:i]), []feed.Rejection{Reject(*r, err)}
		case err != nil:
			rejected = append(rejected, Reject(*r, err))
		case rejected != nil:
			own = append(own, r)
		}
	}
	if rejected == nil {
		return puts, nil
	}
	return own, rejected
}

// Kinds refuses records of other kinds than those that a child of a role tells.
func Kinds(role string, key record.Key, kinds ...record.Kind) error {
	if slices.Contains(kinds, key.Kind) {
		return nil
	}
	return Foreign("a record of kind %s is not a %s's to tell", key.Kind, role)
}

// ClusterOf is what a tier's records say of a cluster, if they list it.
func ClusterOf(s *store.Snapshot, cluster string) (c record.Cluster, listed bool) {
	e, ok := s.Get(record.ClusterKey(cluster))
	if !ok {
		return record.Cluster{}, false
	}
	c, err := record.DecodeCluster(e.Record)
	return c, err == nil
}

// Audited has those of a child's records audited that are not its to tell, once for each batch.
func Audited(log *audit.Log, peer string, apply func(context.Context, feed.Batch) ([]feed.Rejection, error)) func(context.Context, feed.Batch) ([]feed.Rejection, error) {
	return func(ctx context.Context, batch feed.Batch) ([]feed.Rejection, error) {
		rejected, err := apply(ctx, batch)
		foreign := 0
		var first feed.Rejection
		for _, r := range rejected {
			if r.Reason != feed.ReasonNotYours {
				continue
			}
			if foreign == 0 {
				first = r
			}
			foreign++
		}
		if foreign > 0 {
			log.Record(ctx, audit.Event{Action: audit.PeerRefused, Actor: peer, Subject: first.Key.String(), Result: audit.Refused,
				Reason: first.Message, Attrs: []slog.Attr{slog.Int("records", foreign)}})
		}
		return rejected, err
	}
}
