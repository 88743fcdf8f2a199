package ledger_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/meridian-federation/meridian/ipam/ledger"
)

// restorable is an etcd at a fixed address that a test sets back.
type restorable struct {
	dir, listen string
	server      *server
}

func newRestorable(t *testing.T) *restorable {
	t.Helper()
	r := &restorable{dir: t.TempDir(), listen: "http://127.0.0.1:0"}
	r.server = startEtcd(t, r.dir, r.listen)
	r.listen = r.server.Endpoint()
	t.Cleanup(func() { r.server.stop(t) })
	return r
}

// client is one that is closed before the server is.
func (r *restorable) client(t *testing.T) *clientv3.Client {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{r.listen}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// backup copies the data, while the server is stopped.
func (r *restorable) backup(t *testing.T) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "backup")
	r.server.stop(t)
	if err := os.CopyFS(to, os.DirFS(r.dir)); err != nil {
		t.Fatal(err)
	}
	r.server = startEtcd(t, r.dir, r.listen)
	return to
}

// restore has the server begin again with a copy, or with nothing.
func (r *restorable) restore(t *testing.T, from string) {
	t.Helper()
	r.server.stop(t)
	r.dir = t.TempDir()
	if from != "" {
		if err := os.CopyFS(r.dir, os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
	}
	r.server = startEtcd(t, r.dir, r.listen)
}

// others write to the same etcd so much that its revision says nothing.
func others(t *testing.T, c *clientv3.Client, writes int) {
	t.Helper()
	for range writes {
		if _, err := c.Put(bounded(t), "/other", "x"); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSetBack restores an older etcd, or an emptied one, after each kind of change that was answered: opening is refused
// whatever others have written meanwhile, until Repair.
func TestSetBack(t *testing.T) {
	slow := ledger.Pool{Name: services.Name, Quarantine: time.Hour}
	prepare := func(t *testing.T, l *ledger.Ledger) {
		put(t, l, slow, block("10.0.0.0/24"))
		put(t, l, ledger.Pool{Name: "quick"}, block("10.1.0.0/24"))
		put(t, l, ledger.Pool{Name: "quick"}, block("10.2.0.0/24"))
		allocate(t, l, anyOf("a", 32))
		allocate(t, l, ledger.Request{Owner: "b", Pool: "quick", Length: 32})
	}
	tests := []struct {
		name string
		lost func(*testing.T, *ledger.Ledger)
	}{
		{"an allocation", func(t *testing.T, l *ledger.Ledger) { allocate(t, l, anyOf("c", 32)) }},
		{"a release", func(t *testing.T, l *ledger.Ledger) { release(t, l, "a") }},
		{"a release with no quarantine", func(t *testing.T, l *ledger.Ledger) { release(t, l, "b") }},
		{"a block", func(t *testing.T, l *ledger.Ledger) { put(t, l, slow, block("10.3.0.0/24")) }},
		{"a block's closing", func(t *testing.T, l *ledger.Ledger) {
			put(t, l, slow, ledger.Block{Prefix: prefix("10.0.0.0/24"), Closed: true})
		}},
		{"a block's end", func(t *testing.T, l *ledger.Ledger) {
			if err := l.DropBlock(bounded(t), "quick", prefix("10.2.0.0/24")); err != nil {
				t.Fatal(err)
			}
		}},
		{"all", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRestorable(t)
			cfg := ledger.Config{Client: r.client(t), Prefix: "/tier", Witness: filepath.Join(t.TempDir(), "witness")}
			l := open(t, cfg)
			prepare(t, l)
			copied := ""
			if tt.lost != nil {
				copied = r.backup(t)
				tt.lost(t, l)
			}
			epoch, revision := l.Position()
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			r.restore(t, copied)
			others(t, cfg.Client, 40)
			_, err := ledger.Open(bounded(t), cfg)
			var back *ledger.SetBack
			if !errors.Is(err, ledger.ErrSetBack) || !errors.As(err, &back) {
				t.Fatalf("got %v, want %v", err, ledger.ErrSetBack)
			}
			if back.Witnessed.Epoch != epoch || back.Witnessed.Revision != revision {
				t.Errorf("got %+v, want that epoch %x revision %d was witnessed", back, epoch, revision)
			}
			report, err := ledger.Repair(bounded(t), cfg)
			if err != nil || len(report.Findings) > 0 || report.Position.Epoch == epoch {
				t.Fatalf("repairing: got %+v, %v, want another epoch than %x and no findings", report, err, epoch)
			}
			l = open(t, cfg)
			if now, _ := l.Position(); now != report.Position.Epoch {
				t.Errorf("epoch: got %x, want %x", now, report.Position.Epoch)
			}
		})
	}
}

// TestNotSetBack ends a process, and its etcd, at any time: that alone is no reason to refuse.
func TestNotSetBack(t *testing.T) {
	r := newRestorable(t)
	cfg := ledger.Config{Client: r.client(t), Prefix: "/tier", Witness: filepath.Join(t.TempDir(), "witness")}
	quick := ledger.Pool{Name: services.Name}
	for round, do := range []func(*ledger.Ledger){
		func(*ledger.Ledger) {},
		func(l *ledger.Ledger) { put(t, l, quick, block("10.0.0.0/24")) },
		func(l *ledger.Ledger) { allocate(t, l, anyOf("a", 32)) },
		func(l *ledger.Ledger) { release(t, l, "a") },
		func(l *ledger.Ledger) { allocate(t, l, anyOf("a", 32)) },
		// Another process leads for a while, with a witness of its own, which ours knows nothing of.
		func(l *ledger.Ledger) {
			other := cfg
			other.Witness = ""
			o := open(t, other)
			release(t, o, "a")
			allocate(t, o, anyOf("b", 32))
		},
		func(l *ledger.Ledger) { release(t, l, "b") },
	} {
		do(open(t, cfg)) // which is not closed
		r.server.stop(t)
		r.server = startEtcd(t, r.dir, r.listen)
		if _, err := ledger.Repair(bounded(t), cfg); err != nil {
			t.Errorf("round %d: repairing what is not broken: %v", round, err)
		}
	}
	l := open(t, cfg)
	sound(t, l, 0)
	report, err := ledger.Repair(bounded(t), cfg)
	if epoch, _ := l.Position(); err != nil || report.Position.Epoch != epoch {
		t.Errorf("repairing what is not broken: got %+v, %v, want epoch %x", report, err, epoch)
	}
}

// TestSetBackWhileOpen sets etcd back beneath a ledger that goes on. Others may have written since, so that etcd's revision
// does not show it.
func TestSetBackWhileOpen(t *testing.T) {
	for name, writes := range map[string]int{"at once": 0, "after others wrote": 5} {
		t.Run(name, func(t *testing.T) {
			r := newRestorable(t)
			cfg := ledger.Config{Client: r.client(t), Prefix: "/tier"}
			l := open(t, cfg)
			put(t, l, services, block("10.0.0.0/24"))
			copied := r.backup(t)
			allocate(t, l, anyOf("a", 32))
			r.restore(t, copied)
			others(t, cfg.Client, writes)
			_, err := l.Allocate(bounded(t), anyOf("b", 32))
			if !errors.Is(err, ledger.ErrSetBack) {
				t.Errorf("got %v, want %v", err, ledger.ErrSetBack)
			}
			if err := l.Run(bounded(t)); !errors.Is(err, ledger.ErrSetBack) {
				t.Errorf("run: got %v, want %v", err, ledger.ErrSetBack)
			}
			got, err := cfg.Client.Get(bounded(t), "/tier/space/owners/b")
			if err != nil || len(got.Kvs) > 0 {
				t.Errorf("in etcd: got %v, %v, want nothing of b", got, err)
			}
		})
	}
}

// TestWitnessFile is readable for its owner alone, and a damaged one is refused until Repair.
func TestWitnessFile(t *testing.T) {
	s := startEtcd(t, t.TempDir(), "")
	t.Cleanup(func() { s.stop(t) })
	cfg := s.tier(t, "/tier")
	cfg.Witness = filepath.Join(t.TempDir(), "witness")
	if err := open(t, cfg).Close(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(cfg.Witness)
	if err != nil || info.Mode() != fs.FileMode(0o600) {
		t.Errorf("got %v, %v, want 0600", info.Mode(), err)
	}
	content, err := os.ReadFile(cfg.Witness)
	if err != nil {
		t.Fatal(err)
	}
	for i := range content {
		content[i] ^= 0xff
	}
	if err := os.WriteFile(cfg.Witness, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ledger.Open(bounded(t), cfg); !errors.Is(err, ledger.ErrSetBack) {
		t.Errorf("damaged: got %v, want %v", err, ledger.ErrSetBack)
	}
	if _, err := ledger.Repair(bounded(t), cfg); err != nil {
		t.Fatal(err)
	}
	open(t, cfg)
	if _, err := ledger.Open(bounded(t), ledger.Config{Client: cfg.Client, Witness: filepath.Join(t.TempDir(), "no", "witness")}); err == nil {
		t.Error("a witness in a folder that is not there: got nil, want an error")
	}
}
