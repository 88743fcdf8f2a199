package az

import (
	"context"
	"errors"

	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/meridian-federation/meridian/az/authz"
	"github.com/meridian-federation/meridian/internal/config"
	"github.com/meridian-federation/meridian/internal/store"
)

// AuthorizationConfig is how proxies ask whether requests are allowed.
type AuthorizationConfig struct {
	Address string `usage:"HOST:PORT at which proxies ask for external authorization (Envoy's ext_authz, gRPC; over TLS with the zone's certificate unless it is on loopback); none unless given"`
}

// Validate checks the address.
func (a AuthorizationConfig) Validate() error {
	if a.Address == "" {
		return nil
	}
	return config.Address("address", a.Address)
}

// authorize answers proxies' questions by the mirror until ctx ends. Until the policies have been read once, questions
// wait.
func (z *Zone) authorize(ctx context.Context) error {
	defer z.authorization.Close()
	index, loaded := authz.NewIndex(z.log), make(chan struct{})
	group, ctx := errgroup.WithContext(ctx)
	updates := make(chan store.Update)
	group.Go(func() error { return follow(ctx, z.mirror, updates) })
	group.Go(func() error {
		for first := true; ; first = false {
			select {
			case u := <-updates:
				index.Apply(u)
			case <-ctx.Done():
				return ctx.Err()
			}
			if first {
				close(loaded)
			}
		}
	})
	group.Go(func() error {
		select {
		case <-loaded:
		case <-ctx.Done():
			return ctx.Err()
		}
		return authz.NewService(index, z.checks).Serve(ctx, z.authorization, z.authorizationCredentials())
	})
	if err := group.Wait(); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// authorizationCredentials are TLS with the zone's certificate, which proxies verify by the hub's roots. They show none of
// their own: theirs are another authority's. On loopback, where a proxy is beside the zone, it is in the clear.
func (z *Zone) authorizationCredentials() credentials.TransportCredentials {
	if config.OnLoopback(z.authorization.Addr().String()) {
		return insecure.NewCredentials()
	}
	return credentials.NewTLS(tlsconfig.TLSServerConfig(z.identity))
}
