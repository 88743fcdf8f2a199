package etcd_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/internal/store/etcd"
)

// childDir, in the environment, makes the test binary a process that writes to a store there until it is killed.
const childDir = "MERIDIAN_TEST_STORE"

// longLease is longer than any test waits.
const longLease = 10 * time.Minute

func runChild(dir string) error {
	srv, err := etcd.Embed(context.Background(), etcd.EmbedConfig{Dir: dir})
	if err != nil {
		return err
	}
	s, err := srv.Open(etcd.Config{TTL: longLease})
	if err != nil {
		return err
	}
	term, err := s.Campaign(context.Background(), "zone-1")
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		if _, err := s.Commit(context.Background(), term, batch(fmt.Sprint(i))); err != nil {
			return err
		}
		fmt.Println(i) // the parent reads it
	}
}

func batch(content string) store.Batch {
	key := record.Key{Kind: record.KindService, Name: "ns/app"}
	return store.Batch{Writes: []store.Write{{Record: record.New(key, []byte(content))}}}
}

func bounded(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// TestKilledProcessLeadsAgainAtOnce kills a leader without warning: what it had committed is there, and the same id
// leads again long before the old lease ends.
func TestKilledProcessLeadsAgainAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childDir+"="+dir)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	committed := -1
	for committed < 20 && lines.Scan() {
		if _, err := fmt.Sscan(lines.Text(), &committed); err != nil {
			t.Fatalf("the child says %q", lines.Text())
		}
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // it was killed
	if committed < 20 {
		t.Fatal("the child ended")
	}

	ctx := bounded(t)
	srv := serve(t, dir, "")
	defer stop(t, srv)
	s := openStore(t, srv)
	defer s.Close()
	state, err := s.Load(ctx)
	if err != nil {
		t.Fatal(err)
	}
	last := -1
	if _, err := fmt.Sscan(string(state.Entries[0].Content), &last); err != nil || last < committed {
		t.Errorf("got %d, %v; want at least %d", last, err, committed)
	}
	term, err := s.Campaign(ctx, "zone-1")
	if err != nil {
		t.Fatal(err)
	}
	if term.Since() != state.Position {
		t.Errorf("since: got %v, want %v", term.Since(), state.Position)
	}
	if _, err := s.Commit(ctx, term, batch("x")); err != nil {
		t.Error(err)
	}
}

func openStore(t testing.TB, srv *etcd.Server) *etcd.Store {
	t.Helper()
	s, err := srv.Open(etcd.Config{TTL: longLease})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestServerAway stops the server beneath a leader and a mirror, and starts it again: the term ends with its lease, the
// mirror goes on serving and catches up.
func TestServerAway(t *testing.T) {
	t.Parallel()
	ctx := bounded(t)
	srv := startAway(t)
	s := dial(t, etcd.Config{Endpoints: []string{srv.endpoint}, TTL: 2 * time.Second})
	mirror := runMirror(t, s)
	term, err := s.Campaign(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	commitAndSee(ctx, t, s, mirror, term, "1")

	srv.stop()
	ended(ctx, t, term)
	untilConnected(ctx, t, mirror, false)
	if mirror.Snapshot().Len() != 1 {
		t.Error("the mirror lost its records")
	}
	srv.start(srv.dir)
	again, err := s.Campaign(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Commit(ctx, term, batch("never")); !errors.Is(err, store.ErrDeposed) {
		t.Errorf("writing in the old term: got %v, want %v", err, store.ErrDeposed)
	}
	commitAndSee(ctx, t, s, mirror, again, "2")
	untilConnected(ctx, t, mirror, true)
}

// TestServerSetBack restores an older copy of the data beneath a running mirror: the mirror shows the older state, of
// the same epoch at a lower revision.
func TestServerSetBack(t *testing.T) {
	t.Parallel()
	ctx := bounded(t)
	srv := startAway(t)
	s := dial(t, etcd.Config{Endpoints: []string{srv.endpoint}})
	mirror := runMirror(t, s)
	term, err := s.Campaign(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	commitAndSee(ctx, t, s, mirror, term, "old")
	old := mirror.Snapshot().Position()
	srv.stop()
	backup := filepath.Join(t.TempDir(), "backup")
	if err := os.CopyFS(backup, os.DirFS(srv.dir)); err != nil {
		t.Fatal(err)
	}
	srv.start(srv.dir)
	if term, err = s.Campaign(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		commitAndSee(ctx, t, s, mirror, term, "new")
	}
	srv.stop()

	srv.start(backup)
	sub := mirror.Subscribe()
	defer sub.Close()
	for {
		u, err := sub.Next(ctx)
		if err != nil {
			t.Fatalf("the mirror does not notice; it is at %v, the backup at %v", mirror.Snapshot().Position(), old)
		}
		if u.Position == old {
			break
		}
	}
	if term, err = s.Campaign(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	commitAndSee(ctx, t, s, mirror, term, "newer")
}

func runMirror(t *testing.T, s store.Store) *store.Mirror {
	ctx, cancel := context.WithCancel(context.Background())
	m := store.NewMirror(s, slog.New(slog.DiscardHandler))
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = m.Run(ctx) // the context's end
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return m
}

func commitAndSee(ctx context.Context, t *testing.T, s store.Store, m *store.Mirror, term store.Term, content string) {
	t.Helper()
	pos, err := s.Commit(ctx, term, batch(content))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.WaitRevision(ctx, pos.Revision); err != nil {
		t.Fatalf("waiting for revision %d, at %v: %v", pos.Revision, m.Snapshot().Position(), err)
	}
	for e := range m.Snapshot().Entries() {
		if string(e.Content) != content {
			t.Errorf("got %s, want %s", e.Content, content)
		}
	}
}
