package enrol

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// Redeem spends a use of a token for a place, for the newcomer whose public key has this hash, and returns the generation
// that its certificate is to have. Errors that are identity.ErrRefused are final.
func (r *Register) Redeem(ctx context.Context, text string, path question.Path, key keyHash) (generation uint64, err error) {
	token, err := identity.ParseToken(text)
	if err != nil {
		return 0, identity.Refused("%s", err)
	}
	err = r.decide(ctx, func(w Writer, places *Places) error {
		kept, err := r.find(token, path, places)
		if err != nil {
			return err
		}
		grant, err := r.Grant(path)
		if err != nil {
			return err
		}
		grant.Path = path.String()
		kept, grant, err = spend(kept, grant, key)
		if err != nil {
			return err
		}
		generation = grant.Generation
		if _, err := w.Apply(ctx, []store.Write{{Record: kept.Record()}, {Record: grant.Record()}}, nil); err != nil {
			return fmt.Errorf("spending a use of %s: %w", token, err)
		}
		return nil
	})
	return generation, err
}

// find is what is kept of a token that counts now and for this place.
func (r *Register) find(token identity.Token, path question.Path, places *Places) (record.Token, error) {
	e, ok := r.mirror.Snapshot().Get(record.TokenKey(token.ID))
	if !ok {
		return record.Token{}, identity.Refused("the token is not known: it was never made, was revoked, or has ended long ago")
	}
	kept, err := record.DecodeToken(e.Record)
	switch {
	case err != nil:
		return record.Token{}, err
	case !token.Matches(kept.Hash):
		return record.Token{}, identity.Refused("the token is not known: it was never made, was revoked, or has ended long ago")
	case time.Now().After(kept.Expires):
		return record.Token{}, identity.Refused("the token has ended at %s", kept.Expires.UTC().Format(time.RFC3339))
	case kept.Path != path.String():
		return record.Token{}, identity.Refused("the token is for %s, and not for %s", kept.Path, path)
	case !places.Has(path):
		return record.Token{}, identity.Refused("%s is not in the inventory", path)
	}
	return kept, nil
}

// spend takes one use of a token, unless the same key has taken one.
func spend(t record.Token, g record.Grant, key keyHash) (record.Token, record.Grant, error) {
	first := len(t.Spent) == 0
	switch {
	case t.Generation != g.Generation || !first && !g.Enrolled:
		return t, g, identity.Refused("the token is void: since it was made, or first used, %s was removed, or enrolled anew", g.Path)
	case slices.Contains(t.Spent, key):
		return t, g, nil
	case len(t.Spent) >= int(t.Uses):
		return t, g, identity.Refused("the token is spent")
	case first && g.Enrolled && t.Mode == record.TokenNew:
		return t, g, identity.Refused("%s is enrolled already; ask for a token that replaces it, or for one of a replica", g.Path)
	case first && g.Enrolled && t.Mode == record.TokenReplace:
		g.Generation++
	}
	g.Enrolled, g.Token = true, t.ID
	t.Spent = append(slices.Clone(t.Spent), key)
	t.Generation = g.Generation
	return t, g, nil
}
