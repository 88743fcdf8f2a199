package enrol_test

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"github.com/meridian-federation/meridian/internal/enrol"
	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/internal/store/mem"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	west   = question.Path{Region: "west"}
	westA  = question.Path{Region: "west", Zone: "west-a"}
	a1     = question.Path{Region: "west", Zone: "west-a", Cluster: "a1"}
	east   = question.Path{Region: "east"}
	global = question.Path{}
)

// desk is a leading register on a store in memory.
type desk struct {
	*enrol.Register
	t      *testing.T
	mirror *store.Mirror
	writer *store.Writer
}

// newDesk starts one that knows places, in a bubble; without any it has not read the inventory.
func newDesk(t *testing.T, places ...question.Path) desk {
	t.Helper()
	s, log := mem.New(), slog.New(slog.NewTextHandler(t.Output(), nil))
	mirror := store.NewMirror(s, log)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{}, 2)
	go func() { _ = mirror.Run(ctx); done <- struct{}{} }()
	if err := mirror.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	term, err := s.Campaign(t.Context(), "global-0")
	if err != nil {
		t.Fatal(err)
	}
	d := desk{enrol.New(mirror, log), t, mirror, store.NewWriter(s, mirror, term)}
	go func() { _ = d.Lead(ctx, d.writer); done <- struct{}{} }()
	t.Cleanup(func() {
		cancel()
		<-done
		<-done
	})
	synctest.Wait() // it leads
	if len(places) > 0 {
		d.settle(places...)
	}
	return d
}

// settle makes these the places of the inventory.
func (d desk) settle(places ...question.Path) {
	d.t.Helper()
	writes, err := d.Settle(d.t.Context(), enrol.NewPlaces(places, nil))
	if err != nil {
		d.t.Fatal(err)
	}
	if _, err := d.writer.Apply(d.t.Context(), writes, nil); err != nil {
		d.t.Fatal(err)
	}
}

// create makes a token that counts for an hour.
func (d desk) create(path question.Path, uses int32, mode string) identity.Token {
	d.t.Helper()
	token, _, err := d.Create(d.t.Context(), question.TokenRequest{Target: path, TTLSeconds: 3600, Uses: uses, Mode: mode}, "ann")
	if err != nil {
		d.t.Fatalf("a token for %s: %v", path, err)
	}
	return token
}

// key is the hash of some newcomer's key.
func key(n byte) [32]byte { return [32]byte{n} }

// redeemed wants a redemption to give a generation.
func (d desk) redeemed(token identity.Token, path question.Path, n byte, want uint64) {
	d.t.Helper()
	got, err := d.Redeem(d.t.Context(), token.Text(), path, key(n))
	if err != nil || got != want {
		d.t.Errorf("redeeming %s for %s with key %d: got generation %d, %v; want %d", token, path, n, got, err, want)
	}
}

func (d desk) grant(path question.Path) record.Grant {
	d.t.Helper()
	g, err := d.Grant(path)
	if err != nil {
		d.t.Fatal(err)
	}
	return g
}

func (d desk) wantGrant(path question.Path, want record.Grant) {
	d.t.Helper()
	want.Path = path.String()
	if got := d.grant(path); got != want {
		d.t.Errorf("grant of %s: got %+v, want %+v", path, got, want)
	}
}
