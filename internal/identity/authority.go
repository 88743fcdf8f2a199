package identity

import (
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/meridian-federation/meridian/internal/question"
)

// Lives are how long the certificates are good that an authority issues.
type Lives struct {
	// CA is that of the certificate authorities of tiers, Leaf that of the certificates that processes show.
	CA, Leaf time.Duration
}

// Authority issues the certificates of a process and of those directly below its place. It is safe for concurrent use.
type Authority struct {
	source *Source
	lives  Lives
	now    func() time.Time
	// folder keeps what must outlive the process: roots, and which are believed. Nil keeps nothing.
	folder *folder
	// relay passes tokens on to the parent; nil at Global.
	relay Redeemer

	mu      sync.Mutex
	ca      Credential                  // guarded by mu; the own certificate authority
	roots   []Root                      // guarded by mu; those of which this process has the key, at Global alone
	signing *Root                       // guarded by mu; the one of roots that signs for Global's processes, nil if none does
	active  [sha256.Size]byte           // guarded by mu; at Global, the root that the own chain is to end in; zero is any
	issued  map[question.Path]time.Time // guarded by mu; until when certificates are good that were issued to a place
}

// AuthorityConfig is what an authority works with.
type AuthorityConfig struct {
	// Source is that of the process; the authority keeps it in leaves of its own making.
	Source *Source
	Lives  Lives
	// Clock is time.Now if it is nil.
	Clock func() time.Time
}

// NewAuthority makes the authority of a region's or zone's process, or of one at Global that has no root, from the
// certificate that its parent issued. The source has a leaf then.
func NewAuthority(cfg AuthorityConfig, ca Credential, roots []*x509.Certificate) (*Authority, error) {
	a := newAuthority(cfg)
	if err := a.Install(ca, roots); err != nil {
		return nil, err
	}
	return a, nil
}

func newAuthority(cfg AuthorityConfig) *Authority {
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	return &Authority{source: cfg.Source, lives: cfg.Lives, now: cfg.Clock, issued: map[question.Path]time.Time{}}
}

// Source is that of the process.
func (a *Authority) Source() *Source { return a.source }

// Install takes a newer certificate for the process's own certificate authority and the roots to believe, and signs a
// leaf by it. It changes nothing, and says why, where the chain does not hold.
func (a *Authority) Install(ca Credential, roots []*x509.Certificate) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.install(ca, roots)
}

func (a *Authority) install(ca Credential, roots []*x509.Certificate) error {
	if len(ca.Chain) == 0 || !hasKey(ca.Chain[0], ca.Key) {
		return fmt.Errorf("the authority's certificate of %s is not for its key", a.source.path)
	}
	if place, ok, err := placeOf(ca.Chain[0]); err != nil || !ok || place != a.source.path {
		return fmt.Errorf("the authority's certificate is not one of %s", a.source.path)
	}
	leaf, err := a.ownLeaf(ca)
	if err != nil {
		return err
	}
	if err := a.source.Install(leaf, roots); err != nil {
		return err
	}
	a.ca = ca
	return nil
}

// Refresh signs another leaf for the process itself.
func (a *Authority) Refresh() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.install(a.ca, a.source.Roots())
}

// ownLeaf makes a key and signs the leaf by which the process shows who it is.
func (a *Authority) ownLeaf(ca Credential) (Credential, error) {
	key, err := newKey()
	if err != nil {
		return Credential{}, err
	}
	template := leafTemplate(a.source.id, ca.generation())
	template.NotBefore, template.NotAfter = span(a.now(), a.lives.Leaf, ca.ends())
	leaf, err := sign(template, ca.Chain[0], key.Public(), ca.Key)
	if err != nil {
		return Credential{}, err
	}
	return Credential{Key: key, Chain: append([]*x509.Certificate{leaf}, ca.Chain...)}, nil
}

// Issue signs a request for a place directly below, or at Global for another of its processes: an agent gets a leaf, a
// tier's process a certificate authority of its own. The chain is the new certificate and those above it, without the
// root. What the request asks for besides its key is ignored. Bad requests and places are ErrRefused.
func (a *Authority) Issue(csr []byte, path question.Path, generation uint64) (chain [][]byte, err error) {
	public, _, err := requestedKey(csr)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	by, err := a.issuer(path)
	if err != nil {
		return nil, err
	}
	id, err := IDOf(a.source.TrustDomain(), path)
	if err != nil {
		return nil, Refused("%v", err)
	}
	template, life := leafTemplate(id, generation), a.lives.Leaf
	if path.Tier() != question.TierCluster {
		template, life = caTemplate(id.TrustDomain(), path, generation), a.lives.CA
	}
	now := a.now()
	ends := by.ends()
	if !ends.After(now) {
		return nil, fmt.Errorf("the certificate of %s ended at %s: nothing can be issued by it", a.source.path, ends.Format(time.RFC3339))
	}
	template.NotBefore, template.NotAfter = span(now, life, ends)
	cert, err := sign(template, by.Chain[0], public, by.Key)
	if err != nil {
		return nil, err
	}
	a.note(path, cert.NotAfter, now)
	return append([][]byte{cert.Raw}, ders(a.without(by.Chain))...), nil
}

// issuer is by what certificates of a place are signed here.
func (a *Authority) issuer(path question.Path) (Credential, error) {
	own := a.source.path
	if path == own && own.Tier() == question.TierGlobal {
		if a.signing == nil {
			return Credential{}, errors.New("this process of Global has no root: ask the one that has it")
		}
		return a.signing.credential(), nil
	}
	if !a.parentOf(path) {
		return Credential{}, Refused("%s is not directly below %s", path, own)
	}
	return a.ca, nil
}

// signsFor refuses a place that is not signed for here.
func (a *Authority) signsFor(path question.Path) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, err := a.issuer(path)
	return err
}

// parentOf tells whether a place is directly below this one.
func (a *Authority) parentOf(path question.Path) bool {
	parent, ok := path.Parent()
	return ok && parent == a.source.path
}

// without leaves the root out of a chain.
func (a *Authority) without(chain []*x509.Certificate) []*x509.Certificate {
	if a.signing != nil && len(chain) == 1 && chain[0].Equal(a.signing.Cert) {
		return nil
	}
	return chain
}

// note remembers until when a place's newest certificate is good, and forgets those that have ended whenever their number
// has doubled.
func (a *Authority) note(path question.Path, until, now time.Time) {
	if until.After(a.issued[path]) {
		a.issued[path] = until
	}
	if n := len(a.issued); n >= 64 && n&(n-1) == 0 {
		for p, t := range a.issued {
			if t.Before(now) {
				delete(a.issued, p)
			}
		}
	}
}

// Issued is until when the certificates that this process has issued to a place are good; zero if it has issued none.
func (a *Authority) Issued(path question.Path) time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.issued[path]
}
