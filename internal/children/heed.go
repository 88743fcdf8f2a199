package children

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// Heed is a child's part: it has a tier leave a parent that was replaced, as the grant of the place above says that came down
// with the other records, until ctx ends.
func Heed(ctx context.Context, mirror *store.Mirror, source *identity.Source, log *slog.Logger) error {
	above, ok := source.Path().Parent()
	if !ok {
		<-ctx.Done()
		return nil
	}
	sub := mirror.Subscribe()
	defer sub.Close()
	for kept := true; ; kept = false {
		u, err := sub.Next(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("following the grant of %s: %w", above, err)
		}
		for _, c := range u.Changes {
			if c.Key != record.GrantKey(above.String()) || c.New == nil {
				continue
			}
			if err := heed(source, above, c.New.Record, kept, log); err != nil {
				log.Error("not heeding what became of the parent", "parent", above, "err", err)
			}
		}
	}
}

func heed(source *identity.Source, above question.Path, r record.Record, kept bool, log *slog.Logger) error {
	grant, err := record.DecodeGrant(r)
	if err != nil {
		return err
	}
	ended, err := source.Outdated(above, grant.Generation, kept)
	if err != nil {
		return err
	}
	if ended > 0 {
		log.Warn("left a parent that was replaced", "parent", above, "generation", grant.Generation, "connections", ended)
	}
	return nil
}
