package identity

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/meridian-federation/meridian/internal/identity/identitypb"
)

// keeper renews what a process got from Meridian's own authority, in one loop, while another follows whom to believe:
//
//	two thirds of the leaf's life    a tier signs itself another; an agent has its zone issue one
//	two thirds of the CA's life      a tier has its parent issue another; the process with the root signs it itself
//	another root signs               as if two thirds were over
type keeper struct {
	id     *Identity
	folder folder
	parent *parent // nil for the process that has the root
	log    *slog.Logger
	advice string

	// enrolment is what the parent issued last. The loop owns it, as it does pause.
	enrolment enrolment
	pause     time.Duration
	// trust is what the parent said last.
	trust chan trusted
}

func newKeeper(id *Identity, cfg Config, f folder, p *parent) *keeper {
	return &keeper{id: id, folder: f, parent: p, log: cfg.Log, advice: advice(cfg.Path), pause: firstPause, trust: make(chan trusted)}
}

func (k *keeper) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	// Global's processes learn whom to believe from their store: see Authority.Believe.
	if k.parent != nil && k.parent.path != k.id.Source.path {
		group.Go(func() error { return k.follow(ctx) })
	}
	group.Go(func() error { return k.renew(ctx) })
	return group.Wait()
}

// renew is the loop.
func (k *keeper) renew(ctx context.Context) error {
	active := k.id.Source.Status().Root
	for {
		at, step := k.next(active)
		timer := time.NewTimer(time.Until(at))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case told := <-k.trust:
			timer.Stop()
			active = told.active
			if err := k.believe(told); err != nil {
				k.log.Error("not taking over whom the parent believes", "err", err)
			}
		case <-k.id.Source.Changed():
			timer.Stop()
		case <-timer.C:
			if err := step(ctx); err != nil && ctx.Err() == nil {
				k.failed(ctx, err)
			}
		}
	}
}

// next is what is to be renewed next, and when.
func (k *keeper) next(active [sha256.Size]byte) (at time.Time, step func(context.Context) error) {
	status, err := k.id.Source.state()
	if err != nil {
		return time.Now(), func(context.Context) error { return err } // never: Open has installed one
	}
	chain := status.svid.Certificates
	if k.id.Authority == nil {
		return k.due(chain, active, KeyHash(status.root)), k.fromParent
	}
	above := k.fromParent
	if k.parent == nil || k.id.Authority.signs() {
		above = k.fromRoot
	}
	own := twoThirds(chain[0])
	if at := k.due(chain[1:], k.id.Authority.wants(active), KeyHash(status.root)); at.Before(own) {
		return at, above
	}
	return own, func(context.Context) error { return k.done(k.id.Authority.Refresh()) }
}

// due is when the first certificate of a chain is to be renewed: at once where the chain should end in another root.
func (k *keeper) due(chain []*x509.Certificate, active, root [sha256.Size]byte) time.Time {
	if active != root {
		return time.Now().Add(rand.N(rotationJitter))
	}
	return twoThirds(chain[0])
}

// rotationJitter spreads the renewals of those whom a rotation reaches at the same time.
const rotationJitter = 3 * time.Second

// twoThirds is when two thirds of a certificate's life are over, or up to a twentieth of it earlier. The same for a
// certificate whenever it is asked, and different for each, so that a fleet that enrolled at once does not renew at once.
func twoThirds(cert *x509.Certificate) time.Time {
	life := cert.NotAfter.Sub(cert.NotBefore)
	early := life / 20 * time.Duration(KeyHash(cert)[0]) / 255
	return cert.NotBefore.Add(life*2/3 - early)
}

// fromRoot has the process that has the root sign itself another authority.
func (k *keeper) fromRoot(context.Context) error { return k.done(k.id.Authority.Reissue()) }

// fromParent has the parent issue another certificate, for a new key.
func (k *keeper) fromParent(ctx context.Context) error {
	key, err := newKey()
	if err != nil {
		return err
	}
	csr, err := request(key)
	if err != nil {
		return err
	}
	next := enrolment{credential: Credential{Key: key}, token: k.enrolment.token}
	var roots []*x509.Certificate
	err = k.parent.ask(ctx, k.parent.mutual(), func(ctx context.Context, client identitypb.AuthorityClient) error {
		issued, err := client.Renew(ctx, &identitypb.RenewRequest{Csr: csr})
		if err != nil {
			return err
		}
		next.credential.Chain, roots, err = received(issued)
		return err
	})
	if err != nil {
		return err
	}
	if err := k.install(next.credential, roots); err != nil {
		return err
	}
	k.enrolment = next
	return k.done(k.folder.keep(next, roots))
}

func (k *keeper) install(c Credential, roots []*x509.Certificate) error {
	if k.id.Authority == nil {
		return k.id.Source.Install(c, roots)
	}
	return k.id.Authority.Install(c, roots)
}

// believe takes the parent's roots over. While the own chain ends in one that the parent does not believe any more, that
// one stays, until the chain is renewed.
func (k *keeper) believe(told trusted) error {
	roots := told.roots
	now, err := k.id.Source.state()
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(roots, now.root.Equal) {
		roots = append(slices.Clone(roots), now.root)
	}
	if sameCerts(roots, k.id.Source.Roots()) {
		return nil
	}
	if err := k.install(k.enrolment.credential, roots); err != nil {
		return err
	}
	k.log.Info("believing other roots", "roots", len(roots), "active", pinPrefix+hex.EncodeToString(told.active[:]))
	return k.folder.keepRoots(roots)
}

// done counts a renewal that succeeded.
func (k *keeper) done(err error) error {
	if err != nil {
		return err
	}
	k.pause = firstPause
	k.id.renewals.done.Add(1)
	k.log.Info("renewed the certificate", "until", k.id.Source.Status().NotAfter)
	return nil
}

// failed says what is to be done about a renewal that failed, and waits until it is tried again.
func (k *keeper) failed(ctx context.Context, err error) {
	k.id.renewals.failed.Add(1)
	left := time.Until(k.id.Source.Status().NotAfter)
	switch {
	case left <= 0:
		k.log.Error("the certificate has ended", "err", err, "do", k.advice)
	case errors.Is(err, ErrRefused):
		k.log.Error("the certificate is not renewed: refused", "err", err, "left", left, "do", k.advice)
	default:
		k.log.Warn("the certificate is not renewed yet", "err", err, "left", left, "again_in", k.pause)
	}
	pause := k.pause/2 + rand.N(k.pause)
	k.pause = min(2*k.pause, lastPause)
	rest(ctx, pause)
}
