package identity

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/meridian-federation/meridian/internal/identity/identitypb"
	"github.com/meridian-federation/meridian/internal/question"
)

// callPatience is how long one process of the parent's may take for one call, the connection included. It is longer than
// redeemPatience, so that a parent's own answer comes first.
const callPatience = 15 * time.Second

// parent reaches the processes of the place above.
type parent struct {
	source *Source
	path   question.Path

	configured []string

	mu      sync.Mutex
	learned []string // guarded by mu; those that the parent told last
	first   string   // guarded by mu; the one of these that answered last, or serves this process
}

// order is the addresses, in the order in which to try them: the one that answered last, those of the configuration, and
// those that the parent told.
func (p *parent) order() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []string
	if p.knows(p.first) {
		out = append(out, p.first)
	}
	for _, a := range slices.Concat(p.configured, p.learned) {
		if !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out
}

// knows needs mu.
func (p *parent) knows(address string) bool {
	return slices.Contains(p.configured, address) || slices.Contains(p.learned, address)
}

// answered has an address tried first from now on.
func (p *parent) answered(address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.first = address
}

// learn takes the addresses at which the parent can be reached, too, instead of those that it told before.
func (p *parent) learn(addresses []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.learned = slices.Clone(addresses[:min(len(addresses), maxLearned)])
}

// maxLearned bounds the addresses that a parent tells, and with them how long trying each in turn takes.
const maxLearned = 16

// Learned takes the addresses at which the parent can be reached, besides those of the configuration, and forgets those of
// the call before: a feed tells them all whenever they change.
func (i *Identity) Learned(addresses []string) {
	if i.parent != nil {
		i.parent.learn(addresses)
	}
}

// Served takes the address at which the parent serves this process now: the process there is asked for renewals first, since
// one that issues a certificate knows that the session goes on with it.
func (i *Identity) Served(address string) {
	if i.parent != nil {
		i.parent.answered(address)
	}
}

// mutual is TLS by the own certificate. What the source has met is all that is known of generations here.
func (p *parent) mutual() credentials.TransportCredentials {
	return ClientCredentials(p.source, p.path, nil)
}

// ask has one of the parent's processes answer: each in turn, until one does or one refuses. A connection is made for each
// call, by the certificate that is good now.
func (p *parent) ask(ctx context.Context, creds credentials.TransportCredentials, call func(context.Context, identitypb.AuthorityClient) error) error {
	var errs []error
	for _, address := range p.order() {
		err := p.askOne(ctx, address, creds, call)
		if err == nil {
			p.answered(address)
			return nil
		}
		if err = fromStatus(err); errors.Is(err, ErrRefused) || ctx.Err() != nil {
			return err
		}
		errs = append(errs, fmt.Errorf("asking %s at %s: %w", p.path, address, err))
	}
	return errors.Join(errs...)
}

func (p *parent) askOne(ctx context.Context, address string, creds credentials.TransportCredentials, call func(context.Context, identitypb.AuthorityClient) error) error {
	ctx, cancel := context.WithTimeout(ctx, callPatience)
	defer cancel()
	conn, err := dial(address, creds)
	if err != nil {
		return err
	}
	return errors.Join(call(ctx, identitypb.NewAuthorityClient(conn)), conn.Close())
}

// dial makes a connection, whose peer's host the kernel watches: no pings, since little is ever said.
func dial(address string, creds credentials.TransportCredentials) (*grpc.ClientConn, error) {
	dialer := net.Dialer{Timeout: 5 * time.Second,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}}
	return grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(creds),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", address)
		}))
}

// received are certificates that the parent issued.
func received(issued *identitypb.Issued) (chain, roots []*x509.Certificate, err error) {
	if chain, err = parseCertificates(issued.GetChain(), maxChain); err != nil {
		return nil, nil, fmt.Errorf("reading the new certificate: %w", err)
	}
	if roots, err = parseCertificates(issued.GetRoots(), maxRoots); err != nil {
		return nil, nil, fmt.Errorf("reading the roots: %w", err)
	}
	return chain, roots, nil
}

// Redeem asks the parent, which asks its own, up to Global.
func (p *parent) Redeem(ctx context.Context, token string, path question.Path, keyHash [sha256.Size]byte) (generation uint64, err error) {
	err = p.ask(ctx, p.mutual(), func(ctx context.Context, client identitypb.AuthorityClient) error {
		redeemed, err := client.Redeem(ctx, &identitypb.RedeemRequest{Token: token, Path: path.String(), KeyHash: keyHash[:]})
		generation = redeemed.GetGeneration()
		return err
	})
	return generation, err
}
