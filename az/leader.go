package az

import (
	"context"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/intake"
	"github.com/meridian-federation/meridian/internal/location"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/ipam"
	"github.com/meridian-federation/meridian/ipam/tenure"
)

// lead does the leader's work for one term: it takes in what the region sends and schedules it.
func (z *Zone) lead(ctx context.Context, term store.Term) error {
	unbroken := z.mirror.Unbroken()
	if err := z.mirror.WaitRevision(ctx, term.Since().Revision); err != nil {
		return err
	}
	writer := store.NewWriter(z.store, z.mirror, term)
	in, err := intake.New(z.mirror, writer, rules(), z.log)
	if err != nil {
		return err
	}
	outbox, locations := feed.NewOutbox(), z.newLocations()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return unbroken(ctx) })
	export := location.NewExport(outbox)
	group.Go(func() error { return export.Run(ctx, z.mirror) })
	select {
	case <-export.Ready():
	case <-ctx.Done():
		return group.Wait()
	}
	sums := newSums(z.mirror, outbox, z.news, locations, silentFor+z.cfg.slack)
	z.sums.Store(sums)
	z.board.lead(sums)
	defer func() {
		z.sums.Store(nil)
		z.board.lead(nil)
		z.replicas.DismissAll(z.resigned())
	}()
	group.Go(func() error { return locations.Run(ctx, writer) })
	told := make(chan struct{})
	group.Go(func() error { return z.allocate(ctx, writer, outbox, told) })
	group.Go(func() error {
		if err := tenure.Await(ctx, told, z.cfg.Settle); err != nil {
			return err
		}
		return z.parent.Run(ctx, in, outbox)
	})
	group.Go(func() error { return sums.run(ctx, z.cfg.Settle, z.forget) })
	group.Go(func() error {
		s := &scheduler{mirror: z.mirror, writer: writer, intake: in, sums: sums, news: z.news, log: z.log}
		return s.run(ctx)
	})
	return group.Wait()
}

// allocate meets the claims for addresses of the zone, for one term, and tells what becomes of them. told is closed when all
// has been told.
func (z *Zone) allocate(ctx context.Context, writer ipam.Writer, outbox *feed.Outbox, told chan<- struct{}) error {
	if z.tenure == nil {
		close(told)
		return nil
	}
	return z.tenure.Run(ctx, tenure.Term{Writer: writer, Told: told,
		Tell:   func(r record.Record) { outbox.Edit(feed.Put(&r)) },
		Untell: func(key record.Key, cause record.Cause) { outbox.Edit(feed.Remove(key, cause)) }})
}

// rules are what a zone decides at the moment when records come and go: an assignment takes its bindings with it, so that
// a crash between the two cannot lose the cause, and a revision stays for as long as a binding runs it.
func rules() intake.Rules {
	return intake.Rules{Follow: bindingsOf, Needed: runs}
}

func bindingsOf(snapshot *store.Snapshot, removed feed.Removal) []store.Write {
	if removed.Key.Kind != record.KindAssignment {
		return nil
	}
	app, _, ok := cutLast(removed.Key.Name)
	if !ok {
		return nil
	}
	var out []store.Write
	for e := range snapshot.Prefix(record.KindBinding, app+"/") {
		out = append(out, store.Write{Record: record.Record{Key: e.Key}, Delete: true, Cause: removed.Cause})
	}
	return out
}

func runs(snapshot *store.Snapshot, revision record.Key, going map[record.Key]struct{}) bool {
	app, hash, ok := cutLast(revision.Name)
	if !ok {
		return false
	}
	for e := range snapshot.Prefix(record.KindBinding, app+"/") {
		_, goes := going[e.Key]
		if b, err := record.DecodeBinding(e.Record); err == nil && b.Revision == hash && !goes {
			return true
		}
	}
	return false
}

// cutLast splits a record's name before its last part.
func cutLast(name string) (head, last string, ok bool) {
	i := strings.LastIndexByte(name, '/')
	if i < 0 {
		return "", "", false
	}
	return name[:i], name[i+1:], true
}
