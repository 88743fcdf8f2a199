package etcd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/meridian-federation/meridian/internal/certfile"
)

// OpenConfig says where a tier keeps its records: in an external cluster, or with no endpoints in a server of its own.
type OpenConfig struct {
	Endpoints []string
	// Prefix is where the store is in the keys.
	Prefix string
	// Dir holds the data of the tier's own server.
	Dir string
	// NoFsync is EmbedConfig's.
	NoFsync bool
	// Files are for https endpoints; read again at each connection.
	Files certfile.Files
	// Username and PasswordFile, where the cluster asks for a password.
	Username, PasswordFile string
	Log                    *slog.Logger
}

// Open dials the external cluster, or starts a server in this process and opens that. close ends both.
func Open(ctx context.Context, cfg OpenConfig) (s *Store, close func() error, err error) {
	dial := Config{Endpoints: cfg.Endpoints, Prefix: cfg.Prefix, Log: cfg.Log}
	if len(cfg.Endpoints) > 0 {
		if err := cfg.credentials(&dial); err != nil {
			return nil, nil, fmt.Errorf("reading the credentials for etcd: %w", err)
		}
		s, err := Dial(dial)
		if err != nil {
			return nil, nil, err
		}
		return s, s.Close, nil
	}
	server, err := Embed(ctx, EmbedConfig{Dir: cfg.Dir, NoFsync: cfg.NoFsync, Log: cfg.Log})
	if err != nil {
		return nil, nil, err
	}
	s, err = server.Open(dial)
	if err != nil {
		return nil, nil, errors.Join(err, server.Close())
	}
	return s, func() error { return errors.Join(s.Close(), server.Close()) }, nil
}
