package etcd_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"

	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/internal/store/etcd"
	"github.com/meridian-federation/meridian/internal/store/storetest"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		log.Fatal(runChild(dir))
	}
	if dir := os.Getenv(childServer); dir != "" {
		if err := runServer(dir); err != nil {
			log.Fatal(err)
		}
		return
	}
	if endpoint := os.Getenv(childMember); endpoint != "" {
		log.Fatal(runMember(endpoint))
	}
	goleak.VerifyTestMain(m)
}

func serve(t testing.TB, dir, listen string) *etcd.Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	srv, err := etcd.Embed(ctx, etcd.EmbedConfig{Dir: dir, Listen: listen, NoFsync: true})
	if err != nil {
		t.Fatal(err)
	}
	return srv
}

// stop ends a server; several tests have to do it before they end.
func stop(t testing.TB, srv *etcd.Server) {
	t.Helper()
	if err := srv.Close(); err != nil {
		t.Errorf("stopping etcd: %v", err)
	}
}

// backend is one prefix of a shared server.
type backend struct {
	endpoint string
	open     func() (*etcd.Store, error)
}

func (b backend) Open(t *testing.T) store.Store {
	t.Helper()
	s, err := b.open()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (b backend) Compact(t *testing.T) {
	t.Helper()
	compact(t, clientv3.Config{Endpoints: []string{b.endpoint}})
}

// compact forgets all history.
func compact(t *testing.T, cfg clientv3.Config) {
	t.Helper()
	client, err := clientv3.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	resp, err := client.Get(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Compact(t.Context(), resp.Header.Revision); err != nil {
		t.Fatal(err)
	}
}

func TestConformance(t *testing.T) {
	srv := serve(t, t.TempDir(), "http://127.0.0.1:0")
	defer stop(t, srv)
	var n atomic.Int32
	config := func() etcd.Config {
		return etcd.Config{Endpoints: []string{srv.Endpoint()}, Prefix: fmt.Sprintf("/tier/%d", n.Add(1))}
	}
	t.Run("over the network", func(t *testing.T) {
		storetest.Run(t, 12_000, func(*testing.T) storetest.Backend {
			cfg := config()
			return backend{srv.Endpoint(), func() (*etcd.Store, error) { return etcd.Dial(cfg) }}
		})
	})
	t.Run("in the process", func(t *testing.T) {
		storetest.Run(t, 12_000, func(*testing.T) storetest.Backend {
			cfg := config()
			return backend{srv.Endpoint(), func() (*etcd.Store, error) { return srv.Open(cfg) }}
		})
	})
}

func TestADirectoryInUseIsRefused(t *testing.T) {
	dir := t.TempDir()
	srv := serve(t, dir, "")
	defer stop(t, srv)
	if _, err := etcd.Embed(t.Context(), etcd.EmbedConfig{Dir: dir}); err == nil || !strings.Contains(err.Error(), "another process uses it") {
		t.Errorf("got %v", err)
	}
}
