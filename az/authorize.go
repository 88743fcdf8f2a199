package az

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"

	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/meridian-federation/meridian/az/authz"
	"github.com/meridian-federation/meridian/internal/certfile"
	"github.com/meridian-federation/meridian/internal/config"
	"github.com/meridian-federation/meridian/internal/feed/feedgrpc"
	"github.com/meridian-federation/meridian/internal/store"
)

// AuthorizationConfig is how proxies ask whether requests are allowed.
type AuthorizationConfig struct {
	Address      string `usage:"HOST:PORT at which proxies ask for external authorization (Envoy's ext_authz, gRPC); none unless given. One that is not on loopback needs clientCaFile"`
	ClientCAFile string `usage:"file of the authorities, such as the mesh's root, of which proxies must show a certificate, in PEM; read again when it changes. With it the zone answers over TLS alone"`
}

// Validate joins all errors: on other hosts than this one only proxies may ask.
func (a AuthorizationConfig) Validate() error {
	if a.Address == "" {
		if a.ClientCAFile != "" {
			return errors.New("clientCaFile: is of no use without address")
		}
		return nil
	}
	if err := config.Address("address", a.Address); err != nil {
		return err
	}
	if a.ClientCAFile == "" && !config.OnLoopback(a.Address) {
		return fmt.Errorf("clientCaFile: required where address (%s) is not on loopback, or anybody could ask what is allowed", a.Address)
	}
	return nil
}

// proxyLimits are what proxies can cost at most: a question holds a request's headers, and no body unless the proxy is told
// to send one, and a proxy asks for all its requests over few connections.
var proxyLimits = feedgrpc.Limits{Message: 1 << 20, Streams: 1024}

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
		return z.answerProxies(ctx, index)
	})
	if err := group.Wait(); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// answerProxies serves the index, within limits.
func (z *Zone) answerProxies(ctx context.Context, index *authz.Index) error {
	creds, err := z.proxyCredentials()
	if err != nil {
		return fmt.Errorf("serving external authorization: %w", err)
	}
	return authz.NewService(index, z.checks).Serve(ctx, feedgrpc.Listener(z.authorization, proxyLimits, nil),
		append(feedgrpc.ServerOptions(proxyLimits), grpc.Creds(creds))...)
}

// proxyCredentials are TLS with the zone's certificate, which proxies verify by the hub's roots; their own are another
// authority's. Only where a proxy is beside the zone, on loopback, may it ask in the clear.
func (z *Zone) proxyCredentials() (credentials.TransportCredentials, error) {
	file := z.cfg.Authorization.ClientCAFile
	if file == "" {
		if address := z.authorization.Addr().String(); !config.OnLoopback(address) {
			return nil, fmt.Errorf("clientCaFile: required where the address (%s) is not on loopback", address)
		}
		return insecure.NewCredentials(), nil
	}
	proxies, err := certfile.Open(certfile.Files{CA: file}, z.log)
	if err != nil {
		return nil, fmt.Errorf("reading clientCaFile: %w", err)
	}
	return credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS13,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{"h2"}, SessionTicketsDisabled: true,
				GetCertificate: tlsconfig.GetCertificate(z.identity),
				ClientAuth:     tls.RequireAndVerifyClientCert, ClientCAs: proxies.Authorities()}, nil
		}}), nil
}
