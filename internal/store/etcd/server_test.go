package etcd_test

import (
	"testing"

	"github.com/meridian-federation/meridian/internal/store/etcd"
)

// awayServer is a server that a test stops and starts again at the same endpoint.
type awayServer struct {
	t             *testing.T
	dir, endpoint string
	server        *etcd.Server // nil while it is stopped
}

// startAway starts one, which is stopped with the test: after the stores that are dialled later have closed their
// connections, for which etcd waits.
func startAway(t *testing.T) *awayServer {
	t.Helper()
	a := &awayServer{t: t, dir: t.TempDir(), endpoint: "http://127.0.0.1:0"}
	a.start(a.dir)
	a.endpoint = a.server.Endpoint()
	t.Cleanup(a.stop)
	return a
}

// start starts it with the data in dir.
func (a *awayServer) start(dir string) {
	a.t.Helper()
	a.server = serve(a.t, dir, a.endpoint)
}

func (a *awayServer) stop() {
	a.t.Helper()
	if a.server != nil {
		stop(a.t, a.server)
		a.server = nil
	}
}

// dial opens a store that is closed with the test.
func dial(t *testing.T, cfg etcd.Config) *etcd.Store {
	t.Helper()
	s, err := etcd.Dial(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return s
}
