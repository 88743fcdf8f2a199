package global

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

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
		if err := g.adopt(trust); err != nil {
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

// adopt has the authority of this process follow the roots.
func (g *Global) adopt(trust record.Trust) error {
	certs, err := identity.ParseRoots(trust.Roots)
	if err != nil {
		return fmt.Errorf("reading record %s: %w", record.TrustKey(), err)
	}
	own := g.deps.Identity.Status().Root
	known := g.deps.Authority.Holds(trust.Active)
	var pins []string
	for _, cert := range certs {
		known = known || identity.KeyHash(cert) == own
		pins = append(pins, identity.Pin(cert))
	}
	if !known {
		return fmt.Errorf("this process of Global has the root %s, and the control plane believes %s: it began with an identity folder "+
			"that is empty or another's. Stop it, empty that folder, make a token with `meridian token create --global --replica`, and start it "+
			"with that token and the pin", identity.PinOf(own), strings.Join(pins, ", "))
	}
	if err := g.deps.Authority.Believe(trust.Roots, trust.Active); err != nil {
		return fmt.Errorf("taking over the roots of record %s: %w", record.TrustKey(), err)
	}
	return nil
}

// registerRoots writes down what this process began with, where nothing is written yet: the first process' root is the
// control plane's.
func (g *Global) registerRoots(ctx context.Context, writer *store.Writer) error {
	if _, known := g.mirror.Snapshot().Get(record.TrustKey()); known || g.deps.Authority == nil {
		return nil
	}
	trust := record.Trust{Active: g.deps.Identity.Status().Root}
	for _, root := range g.deps.Identity.Roots() {
		trust.Roots = append(trust.Roots, root.Raw)
	}
	return g.writeTrust(ctx, writer, trust)
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
