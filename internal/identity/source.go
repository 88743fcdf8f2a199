package identity

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"

	"github.com/meridian-federation/meridian/internal/question"
)

// Source is who a process is and whom it believes, now. What it gives changes under way: connections that stand keep what
// they were made with, new ones take the newest. It is safe for concurrent use, and implements x509svid.Source and
// x509bundle.Source.
type Source struct {
	path question.Path
	id   spiffeid.ID
	met  met
	// dialled are the connections that were made by ClientCredentials.
	dialled connections
	// adoption is of a root that the parent is yet to show.
	adoption adoption

	mu     sync.Mutex
	now    *state        // guarded by mu; immutable, nil until the first certificate is there
	change chan struct{} // guarded by mu; closed when now changes
}

// state is what a source is at one time.
type state struct {
	svid   *x509svid.SVID
	bundle *x509bundle.Bundle
	root   *x509.Certificate // that the chain ends in
	tls    *tls.Certificate
}

// NewSource makes the source of a place, which has no certificate yet.
func NewSource(domain spiffeid.TrustDomain, path question.Path) (*Source, error) {
	id, err := IDOf(domain, path)
	if err != nil {
		return nil, err
	}
	return &Source{path: path, id: id, change: make(chan struct{})}, nil
}

// Path is the place that it is for.
func (s *Source) Path() question.Path { return s.path }

// ID is the place's SPIFFE id.
func (s *Source) ID() spiffeid.ID { return s.id }

// TrustDomain is the one of the control plane.
func (s *Source) TrustDomain() spiffeid.TrustDomain { return s.id.TrustDomain() }

// Outdated takes the news that certificates of another place count from a generation on: those who are dialled with lower
// ones are refused from now on, and what stands to them ends at once; ended is how many connections that were. What was kept
// since before this process enrolled is nothing to it: it may have been told by one that was replaced for telling lies.
func (s *Source) Outdated(path question.Path, lowest uint64, kept bool) (ended int, err error) {
	if kept && s.met.isFresh() {
		return 0, nil
	}
	if err := s.met.raise(path, lowest); err != nil {
		return 0, fmt.Errorf("keeping the generation %d of %s: %w", lowest, path, err)
	}
	return s.dialled.end(s.met.atLeast(nil), 0), nil
}

// errNoIdentity is what a source says before it has a certificate.
var errNoIdentity = errors.New("this process has no certificate yet")

func (s *Source) state() (*state, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now == nil {
		return nil, errNoIdentity
	}
	return s.now, nil
}

// Changed is closed when the certificate or the roots are no longer these.
func (s *Source) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.change
}

// Install takes a credential, whose first certificate is a leaf for the place, and the roots to believe from now on. It
// changes nothing, and says why, where the chain does not hold under them.
func (s *Source) Install(c Credential, roots []*x509.Certificate) error {
	if len(c.Chain) == 0 || !hasKey(c.Chain[0], c.Key) {
		return fmt.Errorf("the certificate of %s is not for its key", s.path)
	}
	bundle := x509bundle.FromX509Authorities(s.TrustDomain(), roots)
	v, err := verify(c.Chain, bundle, nil)
	if err != nil {
		return fmt.Errorf("verifying the own certificate of %s: %w", s.path, err)
	}
	if v.path != s.path {
		return fmt.Errorf("the certificate is for %s, and this is %s", v.path, s.path)
	}
	next := &state{
		svid:   &x509svid.SVID{ID: s.id, Certificates: v.chain[:len(v.chain)-1], PrivateKey: c.Key},
		bundle: bundle,
		root:   v.root(),
		tls:    &tls.Certificate{Certificate: ders(v.chain), PrivateKey: c.Key, Leaf: v.chain[0]},
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = next
	close(s.change)
	s.change = make(chan struct{})
	return nil
}

// GetX509SVID is the certificate, its chain without the root, and its key.
func (s *Source) GetX509SVID() (*x509svid.SVID, error) {
	now, err := s.state()
	if err != nil {
		return nil, err
	}
	return now.svid, nil
}

// GetX509BundleForTrustDomain is the roots that are believed; there are none of another domain than the own.
func (s *Source) GetX509BundleForTrustDomain(domain spiffeid.TrustDomain) (*x509bundle.Bundle, error) {
	now, err := s.state()
	if err != nil {
		return nil, err
	}
	return now.bundle.GetX509BundleForTrustDomain(domain)
}

// Status is what people are told of an identity.
type Status struct {
	// Root is the KeyHash of the root that the chain ends in; Roots are those of all that are believed.
	Root  [sha256.Size]byte
	Roots [][sha256.Size]byte
	// NotBefore is since when the certificate holds.
	NotBefore time.Time
	// NotAfter is when the certificate ends; AuthorityNotAfter, when the own certificate authority does, zero if there is none.
	NotAfter, AuthorityNotAfter time.Time
	Generation                  uint64
	Serial                      string
}

// Status is zero while there is no certificate.
func (s *Source) Status() Status {
	now, err := s.state()
	if err != nil {
		return Status{}
	}
	chain := now.svid.Certificates
	status := Status{Root: KeyHash(now.root), NotBefore: chain[0].NotBefore, NotAfter: earliest(chain), Serial: chain[0].SerialNumber.Text(16)}
	status.Generation, _ = generationOf(chain[0]) // Install has read it
	for _, root := range now.bundle.X509Authorities() {
		status.Roots = append(status.Roots, KeyHash(root))
	}
	if len(chain) > 1 {
		if place, ok, _ := placeOf(chain[1]); ok && place == s.path {
			status.AuthorityNotAfter = earliest(chain[1:])
		}
	}
	return status
}

// Roots are the certificates that are believed, nil while there is none.
func (s *Source) Roots() []*x509.Certificate {
	now, err := s.state()
	if err != nil {
		return nil
	}
	return now.bundle.X509Authorities()
}
