package identity

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"google.golang.org/grpc/credentials"

	"github.com/meridian-federation/meridian/internal/identity/identitypb"
	"github.com/meridian-federation/meridian/internal/question"
)

// newcomer enrols by a token.
type newcomer struct {
	path   question.Path
	folder folder
	parent *parent
	log    *slog.Logger
	token  string // "" if none is given
	pins   [][sha256.Size]byte
}

func newNewcomer(cfg Config, f folder, p *parent) (*newcomer, error) {
	n := &newcomer{path: cfg.Path, folder: f, parent: p, log: cfg.Log}
	if cfg.TokenFile == "" {
		return n, nil
	}
	content, err := os.ReadFile(cfg.TokenFile)
	if errors.Is(err, fs.ErrNotExist) {
		return n, nil // a token is needed once; its file may be gone
	}
	if err != nil {
		return nil, fmt.Errorf("reading identity.tokenFile: %w", err)
	}
	token, err := ParseToken(string(content))
	if err != nil {
		return nil, fmt.Errorf("reading identity.tokenFile %s: %w", cfg.TokenFile, err)
	}
	for _, text := range cfg.Pin {
		pin, err := ParsePin(text)
		if err != nil {
			return nil, fmt.Errorf("identity.pin: %w", err)
		}
		n.pins = append(n.pins, pin)
	}
	n.token = token.Text()
	return n, nil
}

// needed tells whether to enrol: nothing is here yet, or what is here was got with another token than is given now, which
// is how a person has a place enrolled anew.
func (n *newcomer) needed(e enrolment, ok bool) bool {
	return !ok || n.token != "" && !bytes.Equal(e.token, tokenHash(n.token))
}

// enrol asks until it is answered. What it returns is neither verified nor kept yet: until it is, the pending key is, and
// asking again costs nothing.
func (n *newcomer) enrol(ctx context.Context) (enrolment, []*x509.Certificate, error) {
	if n.token == "" {
		return enrolment{}, nil, fmt.Errorf("it has no certificate yet, and no token: %s (without %s where none was enrolled)", advice(n.path), again(n.path))
	}
	key, err := n.folder.pending()
	if err != nil {
		return enrolment{}, nil, err
	}
	csr, err := request(key)
	if err != nil {
		return enrolment{}, nil, err
	}
	pause := firstPause
	for {
		chain, roots, err := n.ask(ctx, csr)
		if err == nil {
			return enrolment{Credential{Key: key, Chain: chain}, tokenHash(n.token)}, roots, nil
		}
		if errors.Is(err, ErrRefused) {
			return enrolment{}, nil, fmt.Errorf("enrolling as %s was refused: %w", n.path, err)
		}
		n.log.Warn("not enrolled yet", "err", err, "again_in", pause)
		if !rest(ctx, pause) {
			return enrolment{}, nil, fmt.Errorf("enrolling as %s: %w", n.path, errors.Join(ctx.Err(), err))
		}
		pause = min(2*pause, lastPause)
	}
}

func (n *newcomer) ask(ctx context.Context, csr []byte) (chain, roots []*x509.Certificate, err error) {
	err = n.parent.ask(ctx, credentials.NewTLS(pinnedTLS(n.parent.source.TrustDomain(), n.pins, n.parent.path)),
		func(ctx context.Context, client identitypb.AuthorityClient) error {
			issued, err := client.Enroll(ctx, &identitypb.EnrollRequest{Token: n.token, Path: n.path.String(), Csr: csr})
			if err != nil {
				return err
			}
			chain, roots, err = received(issued)
			return err
		})
	return chain, roots, err
}

// The pauses between attempts to reach a parent.
const (
	firstPause = time.Second
	lastPause  = 30 * time.Second
)

// rest pauses, and tells whether ctx is still on.
func rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
