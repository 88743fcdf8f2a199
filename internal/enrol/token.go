package enrol

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// MaxTokens bounds the tokens that are out: several for each place of the largest tree that is planned for.
const MaxTokens = 10_000

// Create makes a token for a place of the inventory, as by asked. The secret is in what it returns and nowhere else.
func (r *Register) Create(ctx context.Context, request question.TokenRequest, by string) (identity.Token, record.Token, error) {
	if err := request.Validate(); err != nil {
		return identity.Token{}, record.Token{}, err
	}
	token, now := identity.NewToken(), time.Now()
	kept := record.Token{ID: token.ID, Hash: token.Hash(), Path: request.Target.String(), Expires: now.Add(request.TTL()),
		Uses: request.Uses, Mode: record.TokenMode(request.Mode), CreatedBy: by, Created: now}
	err := r.decide(ctx, func(w Writer, places *Places) error {
		if err := places.check(request.Target); err != nil {
			return err
		}
		grant, err := r.free(request)
		if err != nil {
			return err
		}
		kept.Generation = grant.Generation
		writes, err := r.room(now)
		if err != nil {
			return err
		}
		if _, taken := r.mirror.Snapshot().Get(record.TokenKey(token.ID)); taken {
			return fmt.Errorf("creating a token: the id %s was drawn twice; ask again", token.ID)
		}
		if _, err := w.Apply(ctx, append(writes, store.Write{Record: kept.Record()}), nil); err != nil {
			return fmt.Errorf("keeping a token: %w", err)
		}
		return nil
	})
	if err != nil {
		return identity.Token{}, record.Token{}, err
	}
	r.note()
	return token, kept, nil
}

// free is what is granted of a place, which can be enrolled in the mode asked for.
func (r *Register) free(request question.TokenRequest) (record.Grant, error) {
	grant, err := r.Grant(request.Target)
	if err != nil {
		return grant, err
	}
	if grant.Enrolled && record.TokenMode(request.Mode) == record.TokenNew {
		return grant, fmt.Errorf("%w: %s is enrolled already: say --replace, which has all its earlier certificates refused, "+
			"or --replica for one more process of it", question.ErrInvalid, request.Target)
	}
	return grant, nil
}

// room makes room for one more token out of those that have ended.
func (r *Register) room(now time.Time) (writes []store.Write, err error) {
	left := 0
	for t := range r.tokens() {
		if now.After(t.Expires) {
			writes = append(writes, remove(t.ID))
			continue
		}
		left++
	}
	switch {
	case left >= MaxTokens:
		return nil, fmt.Errorf("%w: there are %d tokens already; revoke some, or wait until they end", question.ErrInvalid, left)
	case left+len(writes) < MaxTokens:
		return nil, nil
	}
	return writes, nil
}

// note has the sweep look again for the next token to end.
func (r *Register) note() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// Tokens lists all that are out, and for some time those that have ended, by id.
func (r *Register) Tokens() []record.Token { return slices.Collect(r.tokens()) }

func (r *Register) tokens() iter.Seq[record.Token] {
	return func(yield func(record.Token) bool) {
		for e := range r.mirror.Snapshot().All(record.KindToken) {
			t, err := record.DecodeToken(e.Record)
			if err != nil {
				r.log.Error("stored token cannot be read", "record", e.Key, "error", err)
				continue
			}
			if !yield(t) {
				return
			}
		}
	}
}

// Revoke drops a token: nobody enrols with it any more. What was enrolled with it stays.
func (r *Register) Revoke(ctx context.Context, id string) error {
	return r.decide(ctx, func(w Writer, _ *Places) error {
		if _, ok := r.mirror.Snapshot().Get(record.TokenKey(id)); !ok {
			return fmt.Errorf("%w: there is no token %s; `meridian token list` shows those there are", question.ErrNotFound, id)
		}
		if _, err := w.Apply(ctx, []store.Write{remove(id)}, nil); err != nil {
			return fmt.Errorf("revoking token %s: %w", id, err)
		}
		return nil
	})
}
