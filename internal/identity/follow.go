package identity

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/meridian-federation/meridian/internal/identity/identitypb"
)

// trusted is whom a parent believes, and in which root its own chain ends.
type trusted struct {
	roots  []*x509.Certificate
	active [sha256.Size]byte
}

// follow listens to whom the parent believes until ctx ends. It begins anew with each certificate: a stream ends with the one
// that it was begun with.
func (k *keeper) follow(ctx context.Context) error {
	pause := firstPause
	for ctx.Err() == nil {
		said, renewed := k.listenAround(ctx)
		if said {
			pause = firstPause
		}
		if !renewed {
			rest(ctx, pause/2+rand.N(pause))
			pause = min(2*pause, lastPause)
		}
	}
	return nil
}

// listenAround follows one of the parent's processes after another, each until it is gone, or until this process shows another
// certificate; said tells whether one said anything.
func (k *keeper) listenAround(ctx context.Context) (said, renewed bool) {
	ctx, done := k.whileCertified(ctx)
	defer done()
	for _, address := range k.parent.order() {
		one, err := k.listen(ctx, address)
		said = said || one
		if ctx.Err() != nil {
			return said, true
		}
		k.log.Debug("not hearing whom the parent believes", "address", address, "err", err)
	}
	return said, false
}

// whileCertified ends when this process shows another certificate, or with done.
func (k *keeper) whileCertified(ctx context.Context) (_ context.Context, done func()) {
	ctx, done = context.WithCancel(ctx)
	first := k.id.Source.Status().Serial
	go func() {
		defer done()
		for {
			changed := k.id.Source.Changed()
			if k.id.Source.Status().Serial != first {
				return
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}()
	return ctx, done
}

// listen follows one process of the parent's until it is gone, or ctx ends; said tells whether it said anything.
func (k *keeper) listen(ctx context.Context, address string) (said bool, err error) {
	conn, err := dial(address, k.parent.mutual())
	if err != nil {
		return false, err
	}
	defer conn.Close()
	stream, err := identitypb.NewAuthorityClient(conn).Trust(ctx, &identitypb.TrustRequest{})
	if err != nil {
		return false, err
	}
	for {
		m, err := stream.Recv()
		if err != nil {
			return said, err
		}
		told, err := heard(m)
		if err != nil {
			return said, fmt.Errorf("reading whom the parent believes: %w", err)
		}
		said = true
		select {
		case k.trust <- told:
		case <-ctx.Done():
			return said, nil
		}
	}
}

// heard reads what a parent says.
func heard(m *identitypb.Trusted) (trusted, error) {
	roots, err := parseCertificates(m.GetRoots(), maxRoots)
	if err != nil {
		return trusted{}, err
	}
	if len(m.GetActive()) != sha256.Size {
		return trusted{}, errActive
	}
	return trusted{roots: roots, active: [sha256.Size]byte(m.GetActive())}, nil
}

var errActive = errors.New("the active root is not named by 32 bytes")
