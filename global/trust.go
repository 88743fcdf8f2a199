package global

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/meridian-federation/meridian/internal/audit"
	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// believe has this process believe the roots that the store says, and sign by the active one, until ctx ends. Where others
// than Meridian issue identities there is nothing to follow. It fails where the process' own root is none of them, and where
// the process was replaced.
func (g *Global) believe(ctx context.Context) error {
	if g.deps.Authority == nil {
		close(g.trusted)
		<-ctx.Done()
		return nil
	}
	checked := sync.OnceFunc(func() { close(g.trusted) })
	sub := g.mirror.Subscribe()
	defer sub.Close()
	for {
		u, err := sub.Next(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("following the roots: %w", err)
		}
		if err := g.heed(u.Changes); err != nil {
			return err
		}
		checked()
	}
}

// heed takes what changed of the roots, and of the generation of Global's place; nothing may be written down yet.
func (g *Global) heed(changes []store.Change) error {
	if e := changed(changes, record.TrustKey()); e != nil {
		trust, err := record.DecodeTrust(e.Record)
		if err != nil {
			return err
		}
		if err := g.follow(trust); err != nil {
			return err
		}
	}
	e := changed(changes, record.GrantKey(question.Path{}.String()))
	if e == nil {
		return nil
	}
	grant, err := record.DecodeGrant(e.Record)
	if err != nil {
		return err
	}
	err = g.deps.Authority.Granted(grant.Generation)
	if errors.Is(err, identity.ErrReplaced) {
		return fmt.Errorf("%w. Stop it, empty its identity folder, make a token with `meridian token create --global --replica`, and start it "+
			"with that token and the pin", err)
	}
	if err != nil {
		return fmt.Errorf("taking over the generation of record %s: %w", e.Key, err)
	}
	return nil
}

// changed is what a record has become; nil where it did not change, and where it is gone.
func changed(changes []store.Change, key record.Key) *store.Entry {
	i, ok := slices.BinarySearchFunc(changes, key, func(c store.Change, k record.Key) int { return c.Key.Compare(k) })
	if !ok {
		return nil
	}
	return changes[i].New
}

// follow has the authority of this process follow the roots. A process whose root is none of them does not lead, unless a
// person has it bring in its own.
func (g *Global) follow(trust record.Trust) error {
	err := g.known(trust)
	if errors.Is(err, errOtherRoot) && g.cfg.Identity.AdoptRoot {
		g.log.Warn("this process is to have its root take the place of the lost one, as soon as it leads", "pin", identity.PinOf(g.deps.Identity.Status().Root))
		return nil
	}
	if err != nil {
		return err
	}
	if err := g.deps.Authority.Believe(trust.Roots, trust.Active); err != nil {
		return fmt.Errorf("taking over the roots of record %s: %w", record.TrustKey(), err)
	}
	return nil
}

// errOtherRoot is a process of Global that began with an identity folder that is empty or another's.
var errOtherRoot = errors.New("this process of Global has a root of its own")

// known holds this process' root against those that are written down.
func (g *Global) known(trust record.Trust) error {
	certs, err := identity.ParseRoots(trust.Roots)
	if err != nil {
		return fmt.Errorf("reading record %s: %w", record.TrustKey(), err)
	}
	own := g.deps.Identity.Status().Root
	if g.deps.Authority.Holds(trust.Active) {
		return nil
	}
	var pins []string
	for _, cert := range certs {
		if identity.KeyHash(cert) == own {
			return nil
		}
		pins = append(pins, identity.Pin(cert))
	}
	return fmt.Errorf("%w, %s, and the control plane believes %s: it began with an identity folder that is empty or another's. Stop it, "+
		"empty that folder, make a token with `meridian token create --global --replica`, and start it with that token and the pin; or, if no "+
		"process of Global has that root any more, restore its folder from a backup, or start it with identity.adoptRoot (docs/security.md)",
		errOtherRoot, identity.PinOf(own), strings.Join(pins, ", "))
}

// registerRoots writes down what this process began with, where nothing is written yet: the first process' root is the
// control plane's. A root that this process is to adopt is written beside those there are, and signs from now on.
func (g *Global) registerRoots(ctx context.Context, writer *store.Writer) error {
	if g.deps.Authority == nil {
		return nil
	}
	if e, written := g.mirror.Snapshot().Get(record.TrustKey()); written {
		trust, err := record.DecodeTrust(e.Record)
		if err != nil {
			return err
		}
		err = g.known(trust)
		if errors.Is(err, errOtherRoot) && g.cfg.Identity.AdoptRoot {
			return g.adopt(ctx, writer, trust)
		}
		return err
	}
	trust := record.Trust{Active: g.deps.Identity.Status().Root}
	for _, root := range g.deps.Identity.Roots() {
		trust.Roots = append(trust.Roots, root.Raw)
	}
	return g.writeTrust(ctx, writer, trust)
}

// adopt brings this process' root in. The lost one stays believed, for what it signed that is still good, until a rotation
// drops it.
func (g *Global) adopt(ctx context.Context, writer *store.Writer, trust record.Trust) error {
	own := g.deps.Identity.Status().Root
	next := record.Trust{Active: own}
	next.Roots = append(next.Roots, trust.Roots...)
	for _, root := range g.deps.Identity.Roots() {
		if identity.KeyHash(root) == own {
			next.Roots = append(next.Roots, root.Raw)
		}
	}
	if err := g.writeTrust(ctx, writer, next); err != nil {
		return err
	}
	g.deps.Audit.Record(ctx, audit.Event{Action: audit.AuthorityAdopt, Actor: "replica " + g.cfg.ID, Subject: identity.PinOf(own), Result: audit.Done,
		Reason: "identity.adoptRoot", Attrs: []slog.Attr{slog.String("lost", identity.PinOf(trust.Active))}})
	g.log.Warn("adopted a root: leave identity.adoptRoot out from now on", "pin", identity.PinOf(own), "lost", identity.PinOf(trust.Active))
	return nil
}

func (g *Global) writeTrust(ctx context.Context, writer *store.Writer, trust record.Trust) error {
	if _, err := writer.Apply(ctx, []store.Write{{Record: trust.Record()}}, nil); err != nil {
		return fmt.Errorf("writing down the roots: %w", err)
	}
	return nil
}

// rootsPEM are roots as the CLI takes them.
func rootsPEM(roots []*x509.Certificate) string {
	var out strings.Builder
	for _, root := range roots {
		_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: root.Raw}) // a Builder takes all
	}
	return out.String()
}
