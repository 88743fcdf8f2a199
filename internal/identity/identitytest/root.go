// Package identitytest makes whole chains of identities in memory, without enrolment, for tests and for harnesses that
// simulate many processes. It is for no binary of Meridian's.
package identitytest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"sync"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/question"
)

// Domain is the trust domain of every root that names no other.
const Domain = "meridian"

// Options change what a root issues. The zero Options are a root of Domain, whose certificates live for an hour and a day.
type Options struct {
	Domain string
	Lives  identity.Lives
	// Generation is that of a place; nil is 0 for all.
	Generation func(question.Path) uint64
}

// Root is an authority over a whole tree: it has one process at each place that is asked for. It is safe for concurrent
// use. Its certificates are not renewed by themselves.
type Root struct {
	domain  spiffeid.TrustDomain
	options Options
	root    identity.Root

	mu   sync.Mutex
	tops map[question.Path]*identity.Authority // guarded by mu; those of the tiers' places
}

// New makes a root.
func New(o Options) (*Root, error) {
	if o.Domain == "" {
		o.Domain = Domain
	}
	if o.Lives == (identity.Lives{}) {
		o.Lives = identity.Lives{CA: 24 * time.Hour, Leaf: time.Hour}
	}
	if o.Generation == nil {
		o.Generation = func(question.Path) uint64 { return 0 }
	}
	domain, err := spiffeid.TrustDomainFromString(o.Domain)
	if err != nil {
		return nil, fmt.Errorf("reading the trust domain: %w", err)
	}
	root, err := identity.NewRoot(domain, time.Now())
	if err != nil {
		return nil, err
	}
	r := &Root{domain: domain, options: o, root: root, tops: map[question.Path]*identity.Authority{}}
	source, err := identity.NewSource(domain, question.Path{})
	if err != nil {
		return nil, err
	}
	top, err := identity.NewRootAuthority(identity.AuthorityConfig{Source: source, Lives: o.Lives}, []identity.Root{root})
	if err != nil {
		return nil, err
	}
	r.tops[question.Path{}] = top
	return r, nil
}

// Must is New for those with nowhere to return an error to.
func Must(o Options) *Root {
	r, err := New(o)
	if err != nil {
		panic(err)
	}
	return r
}

// Authority is that of the one process at a tier's place, made when it is first asked for, as are those above it.
func (r *Root) Authority(path question.Path) (*identity.Authority, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.authority(path)
}

func (r *Root) authority(path question.Path) (*identity.Authority, error) {
	if a := r.tops[path]; a != nil {
		return a, nil
	}
	a, err := r.newAuthority(path)
	if err != nil {
		return nil, err
	}
	r.tops[path] = a
	return a, nil
}

func (r *Root) newAuthority(path question.Path) (*identity.Authority, error) {
	source, err := identity.NewSource(r.domain, path)
	if err != nil {
		return nil, err
	}
	ca, roots, err := r.credential(path)
	if err != nil {
		return nil, err
	}
	return identity.NewAuthority(identity.AuthorityConfig{Source: source, Lives: r.options.Lives}, ca, roots)
}

// credential has the place's parent issue a certificate: a CA's for a tier, a leaf for an agent.
func (r *Root) credential(path question.Path) (identity.Credential, []*x509.Certificate, error) {
	parent, ok := path.Parent()
	if !ok {
		return identity.Credential{}, nil, fmt.Errorf("issuing for %s: it has no parent", path)
	}
	above, err := r.authority(parent)
	if err != nil {
		return identity.Credential{}, nil, err
	}
	c, err := r.issue(above, path)
	return c, above.Source().Roots(), err
}

// issue makes a key, and has an authority issue a certificate for it.
func (r *Root) issue(by *identity.Authority, path question.Path) (identity.Credential, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return identity.Credential{}, err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return identity.Credential{}, err
	}
	raw, err := by.Issue(csr, path, r.options.Generation(path))
	if err != nil {
		return identity.Credential{}, fmt.Errorf("issuing for %s: %w", path, err)
	}
	c := identity.Credential{Key: key}
	for _, der := range raw {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return identity.Credential{}, err
		}
		c.Chain = append(c.Chain, cert)
	}
	return c, nil
}

// Source is the identity of the process at a place: of a tier the one that Authority's process has, of an agent a new one
// each time.
func (r *Root) Source(path question.Path) (*identity.Source, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if path.Tier() != question.TierCluster {
		a, err := r.authority(path)
		if err != nil {
			return nil, err
		}
		return a.Source(), nil
	}
	source, err := identity.NewSource(r.domain, path)
	if err != nil {
		return nil, err
	}
	return source, r.renew(source)
}

// Replica is the identity of another process of a tier's place, with a certificate authority of its own.
func (r *Root) Replica(path question.Path) (*identity.Authority, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.newAuthority(path)
}

// Renew gives a source of this root's a new certificate.
func (r *Root) Renew(source *identity.Source) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if a := r.tops[source.Path()]; a != nil && a.Source() == source {
		return a.Refresh()
	}
	return r.renew(source)
}

func (r *Root) renew(source *identity.Source) error {
	c, roots, err := r.credential(source.Path())
	if err != nil {
		return err
	}
	return source.Install(c, roots)
}

// Roots are the certificates to believe.
func (r *Root) Roots() []*x509.Certificate {
	a, _ := r.Authority(question.Path{}) // made with the root
	return a.Source().Roots()
}

// Stolen is a certificate authority for a tier's place, with its key, as whoever has taken the place over has it. The
// chain has no root.
func (r *Root) Stolen(path question.Path) (identity.Credential, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if path.Tier() != question.TierGlobal {
		c, _, err := r.credential(path)
		return c, err
	}
	return r.issue(r.tops[path], path)
}

// Certificate is what a source shows, as TLS takes it: for tests that must show it where it does not belong.
func Certificate(source *identity.Source) (tls.Certificate, error) {
	svid, err := source.GetX509SVID()
	if err != nil {
		return tls.Certificate{}, err
	}
	c := tls.Certificate{PrivateKey: svid.PrivateKey, Leaf: svid.Certificates[0]}
	for _, cert := range svid.Certificates {
		c.Certificate = append(c.Certificate, cert.Raw)
	}
	return c, nil
}
