package etcd_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/internal/store/etcd"
)

// TestFull fills an etcd until it refuses to write: what reads goes on, those that write are told why they cannot, and
// all is well again, with the same handles, once a person has made room.
func TestFull(t *testing.T) {
	t.Parallel()
	ctx := bounded(t)
	srv, err := etcd.Embed(ctx, etcd.EmbedConfig{Dir: t.TempDir(), Listen: "http://127.0.0.1:0", NoFsync: true, Quota: 4 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer stop(t, srv)
	s, err := etcd.Dial(etcd.Config{Endpoints: []string{srv.Endpoint()}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	mirror := runMirror(t, s)
	term, err := s.Campaign(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	member, err := s.Join(ctx, store.Member{ID: "child", Address: "child:1"})
	if err != nil {
		t.Fatal(err)
	}
	writer := store.NewWriter(s, mirror, term)
	fillUp(ctx, t, writer)

	if n := mirror.Snapshot().Len(); n != 1 {
		t.Errorf("the mirror shows %d records, want 1", n)
	}
	if state, err := s.Load(ctx); err != nil || len(state.Entries) != 1 {
		t.Errorf("loading from a full etcd: %v", err)
	}
	untilListed(ctx, t, s, true)
	if _, err := s.Claim(ctx, "c", "a", 0); !errors.Is(err, store.ErrFull) {
		t.Errorf("claiming: got %v, want %v", err, store.ErrFull)
	}
	if !member.Fresh() {
		t.Error("the membership was lost")
	}
	gone := store.Write{Record: record.Record{Key: large("one", 0).Key}, Delete: true}
	if _, err := writer.Apply(ctx, []store.Write{gone}, nil); !errors.Is(err, store.ErrFull) {
		t.Errorf("removing: got %v, want %v", err, store.ErrFull)
	}
	if _, err := s.Join(ctx, store.Member{ID: "late", Address: "late:1"}); !errors.Is(err, store.ErrFull) {
		t.Errorf("joining: got %v, want %v", err, store.ErrFull)
	}
	if err := errors.Join(member.Leave(ctx), s.Depose(ctx, "another")); err != nil {
		t.Errorf("leaving, and deposing: %v", err)
	}
	untilListed(ctx, t, s, false)
	if got := failed(mirror.Stats(), "full"); got != 2 {
		t.Errorf("commits counted as failed because etcd is full: got %d, want 2", got)
	}

	makeRoom(ctx, t, srv.Endpoint())
	if n, err := writer.Apply(ctx, []store.Write{large("more", 1)}, nil); err != nil || n != 1 {
		t.Fatalf("writing after there was room again: got %d, %v", n, err)
	}
	if n := mirror.Snapshot().Len(); n != 2 {
		t.Errorf("the mirror shows %d records, want 2", n)
	}
	if _, err := s.Claim(ctx, "c", "a", 0); err != nil {
		t.Errorf("claiming: %v", err)
	}
}

func large(name string, round byte) store.Write {
	key := record.Key{Kind: record.KindRevision, Name: name}
	return store.Write{Record: record.New(key, bytes.Repeat([]byte{round}, 200_000))}
}

// fillUp writes one record again and again, until its history fills etcd.
func fillUp(ctx context.Context, t *testing.T, w *store.Writer) {
	t.Helper()
	for round := range byte(100) {
		_, err := w.Apply(ctx, []store.Write{large("one", round)}, nil)
		if err == nil {
			continue
		}
		if !errors.Is(err, store.ErrFull) || !strings.Contains(err.Error(), "disarm its alarm") {
			t.Fatalf("writing to a full etcd: got %v, want %v and what to do", err, store.ErrFull)
		}
		return
	}
	t.Fatal("etcd is not full")
}

// makeRoom does what the error asks for.
func makeRoom(ctx context.Context, t *testing.T, endpoint string) {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	resp, err := client.Get(ctx, "x")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Compact(ctx, resp.Header.Revision, clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Defragment(ctx, endpoint); err != nil {
		t.Fatal(err)
	}
	if _, err := client.AlarmDisarm(ctx, &clientv3.AlarmMember{}); err != nil {
		t.Fatal(err)
	}
}

func failed(s *store.Stats, why string) int64 {
	for i, name := range store.FailureReasons {
		if name == why {
			return s.Failed(i)
		}
	}
	return -1
}
