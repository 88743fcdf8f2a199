package identity

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/meridian-federation/meridian/internal/question"
)

// Root is a self-signed certificate that a control plane believes, and its key.
type Root struct {
	Cert *x509.Certificate
	Key  crypto.Signer
}

func (r Root) credential() Credential {
	return Credential{Key: r.Key, Chain: []*x509.Certificate{r.Cert}}
}

// NewRoot makes one.
func NewRoot(domain spiffeid.TrustDomain, now time.Time) (Root, error) {
	key, err := newKey()
	if err != nil {
		return Root{}, err
	}
	template := rootTemplate(domain, now)
	cert, err := sign(template, template, key.Public(), key)
	if err != nil {
		return Root{}, err
	}
	return Root{Cert: cert, Key: key}, nil
}

// NewRootAuthority makes the authority of a process at Global that has roots' keys. believed are the roots to believe from
// the start, of which the first signs; with none, they are those that it has. The source has a leaf then.
func NewRootAuthority(cfg AuthorityConfig, roots []Root, believed ...*x509.Certificate) (*Authority, error) {
	if cfg.Source.path.Tier() != question.TierGlobal || len(roots) == 0 {
		return nil, fmt.Errorf("making the root authority of %s: only Global has one, and a root", cfg.Source.path)
	}
	a := newAuthority(cfg)
	a.roots = roots
	if len(believed) == 0 {
		for _, r := range roots {
			believed = append(believed, r.Cert)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	signs := a.held(KeyHash(believed[0]))
	if signs == nil {
		return nil, fmt.Errorf("making the root authority of %s: the root %s signs, whose key is not here", cfg.Source.path, Pin(believed[0]))
	}
	return a, a.signBy(*signs, believed, cfg.Source.met.of(cfg.Source.path))
}

// signBy makes a new certificate authority for this process under a root of its own.
func (a *Authority) signBy(root Root, believed []*x509.Certificate, generation uint64) error {
	key, err := newKey()
	if err != nil {
		return err
	}
	template := caTemplate(a.source.TrustDomain(), a.source.path, generation)
	template.NotBefore, template.NotAfter = span(a.now(), a.lives.CA, root.Cert.NotAfter)
	cert, err := sign(template, root.Cert, key.Public(), root.Key)
	if err != nil {
		return err
	}
	if err := a.install(Credential{Key: key, Chain: []*x509.Certificate{cert}}, believed); err != nil {
		return err
	}
	a.signing, a.active = &root, KeyHash(root.Cert)
	return nil
}

// Reissue makes a new certificate authority for this process by the root that it has.
func (a *Authority) Reissue() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.signing == nil {
		return fmt.Errorf("the root %s%x signs, whose key is at another process of Global: name its address in identity.join", pinPrefix, a.active)
	}
	return a.signBy(*a.signing, a.source.Roots(), a.ca.generation())
}

// ErrReplaced is a process of Global whose certificates are of a generation that no longer counts.
var ErrReplaced = errors.New("this process of Global was replaced")

// Granted takes the generation of Global's place that counts from now on. The process that has the root which signs goes
// over to it at once, and again when it is started again. Any other whose certificates are of a lower one is ErrReplaced.
func (a *Authority) Granted(generation uint64) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	own := a.ca.generation()
	if own >= generation {
		return nil
	}
	if a.signing == nil {
		return fmt.Errorf("%w: its certificates are of generation %d, and %d is the lowest that counts", ErrReplaced, own, generation)
	}
	if err := a.source.met.raise(a.source.path, generation); err != nil {
		return fmt.Errorf("keeping the generation %d of %s: %w", generation, a.source.path, err)
	}
	return a.signBy(*a.signing, a.source.Roots(), generation)
}

// wants is the root that the own chain is to end in: at Global the one that signs, elsewhere the parent's.
func (a *Authority) wants(parents [sha256.Size]byte) [sha256.Size]byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.active != ([sha256.Size]byte{}) {
		return a.active
	}
	return parents
}

// signs tells whether this process has the root that signs.
func (a *Authority) signs() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.signing != nil
}

// MakeRoot makes another root, which signs nothing and is believed by nobody until Believe says so. Its key stays in this
// process and its folder. Only processes of Global make roots.
func (a *Authority) MakeRoot() (*x509.Certificate, error) {
	if a.source.path.Tier() != question.TierGlobal {
		return nil, fmt.Errorf("making a root: %s is not Global", a.source.path)
	}
	root, err := NewRoot(a.source.TrustDomain(), a.now())
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.folder != nil {
		if err := a.folder.keepRoot(root); err != nil {
			return nil, fmt.Errorf("keeping a new root: %w", err)
		}
	}
	a.roots = append(a.roots, root)
	return root.Cert, nil
}

// Holds tells whether this process has the key of a root, named by its KeyHash.
func (a *Authority) Holds(root [sha256.Size]byte) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.held(root) != nil
}

func (a *Authority) held(root [sha256.Size]byte) *Root {
	for i := range a.roots {
		if KeyHash(a.roots[i].Cert) == root {
			return &a.roots[i]
		}
	}
	return nil
}

// ErrUnknownRoot is an active root that is not among those to believe.
var ErrUnknownRoot = errors.New("the root that is to sign is not among those to believe")

// Believe takes the roots that the whole control plane believes, in DER, and which of them signs, by its KeyHash. A process
// that has the key of that one goes over to it at once; one that has not signs for nobody's Global any more and has itself
// a new certificate issued by the process that has it. Repeating it changes nothing.
func (a *Authority) Believe(roots [][]byte, active [sha256.Size]byte) error {
	believed, err := parseCertificates(roots, maxRoots)
	if err != nil {
		return fmt.Errorf("reading the roots to believe: %w", err)
	}
	at := slices.IndexFunc(believed, func(c *x509.Certificate) bool { return KeyHash(c) == active })
	if at < 0 {
		return ErrUnknownRoot
	}
	// The one that signs comes first, which is how it is known after a restart.
	signs := believed[at]
	believed = slices.Insert(slices.Delete(believed, at, at+1), 0, signs)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.active == active && sameCerts(a.source.Roots(), believed) {
		return nil
	}
	if a.folder != nil {
		if err := a.folder.keepRoots(believed); err != nil {
			return fmt.Errorf("keeping the roots to believe: %w", err)
		}
	}
	if mine := a.held(active); mine != nil {
		if a.signing == nil || a.active != active {
			return a.signBy(*mine, believed, a.ca.generation())
		}
		return a.install(a.ca, believed)
	}
	a.signing, a.active = nil, active
	return a.install(a.ca, believed)
}

func sameCerts(a, b []*x509.Certificate) bool {
	return slices.EqualFunc(a, b, (*x509.Certificate).Equal)
}
