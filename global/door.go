package global

import (
	"context"
	"errors"
	"log/slog"

	"google.golang.org/grpc/peer"

	"github.com/meridian-federation/meridian/internal/asker"
	"github.com/meridian-federation/meridian/internal/audit"
	"github.com/meridian-federation/meridian/internal/question"
)

// people tells who asks, and what he may; asker.Desk does.
type people interface {
	Who(ctx context.Context) (asker.User, error)
	May(ctx context.Context, user asker.User, right asker.Right) error
}

// door lets those questions in whose asker is known and may ask them.
type door struct {
	people people
	audit  *audit.Log
	// answer answers what by asks.
	answer func(ctx context.Context, by, kind string, payload []byte) ([]byte, error)
}

// Answer answers a question that came over gRPC.
func (d door) Answer(ctx context.Context, kind string, payload []byte) ([]byte, error) {
	user, err := d.people.Who(ctx)
	if err != nil {
		return nil, d.refused(ctx, addressOf(ctx), kind, err)
	}
	right, err := rightFor(kind, payload)
	if err != nil {
		return nil, err
	}
	if err := d.people.May(ctx, user, right); err != nil {
		return nil, d.refused(ctx, user.Name, kind, err)
	}
	return d.answer(ctx, user.Name, kind, payload)
}

// refused records that somebody may not ask, and returns the error. One that only could not be found out is no refusal.
func (d door) refused(ctx context.Context, by, kind string, err error) error {
	if errors.Is(err, question.ErrUnauthenticated) || errors.Is(err, question.ErrForbidden) {
		d.audit.Record(ctx, audit.Event{Action: audit.Ask, Actor: by, Subject: kind, Result: audit.Refused, Reason: err.Error(),
			Attrs: []slog.Attr{slog.String("from", addressOf(ctx))}})
	}
	return err
}

// addressOf is where a call comes from.
func addressOf(ctx context.Context) string {
	if p, ok := peer.FromContext(ctx); ok && p.Addr != nil {
		return p.Addr.String()
	}
	return "unknown"
}
