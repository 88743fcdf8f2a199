package enrol_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meridian-federation/meridian/internal/enrol"
	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
)

// refused wants a redemption to be refused for good, with a reason.
func (d desk) refused(text string, path question.Path, n byte, why string) {
	d.t.Helper()
	before := d.mirror.Snapshot().Position()
	_, err := d.Redeem(d.t.Context(), text, path, key(n))
	if !errors.Is(err, identity.ErrRefused) || !strings.Contains(err.Error(), why) {
		d.t.Errorf("redeeming for %s with key %d: got %v, want a refusal that says %q", path, n, err, why)
	}
	if after := d.mirror.Snapshot().Position(); after != before {
		d.t.Errorf("a refused redemption wrote something: the store went from %v to %v", before, after)
	}
}

func TestRedeem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, a1, east)
		token := d.create(a1, 1, question.TokenNew)
		other := identity.Token{ID: token.ID, Secret: identity.NewToken().Secret}
		d.refused("abc", a1, 1, "a token is ID.SECRET")
		d.refused(identity.NewToken().Text(), a1, 1, "is not known")
		d.refused(other.Text(), a1, 1, "is not known")
		d.refused(token.Text(), westA, 1, "the token is for region/west/zone/west-a/cluster/a1, and not for region/west/zone/west-a")
		d.redeemed(token, a1, 1, 0)
		d.wantGrant(a1, record.Grant{Enrolled: true, Token: token.ID})
		d.redeemed(token, a1, 1, 0) // the first reply was lost
		d.refused(token.Text(), a1, 2, "is spent")

		late := d.create(east, 2, question.TokenNew)
		d.redeemed(late, east, 1, 0)
		time.Sleep(time.Hour + time.Second)
		d.refused(late.Text(), east, 2, "has ended at")
		d.refused(late.Text(), east, 1, "has ended at")
	})
}

func TestEnrolledPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, westA)
		first, second := d.create(westA, 3, question.TokenNew), d.create(westA, 1, question.TokenNew)
		d.redeemed(first, westA, 1, 0)
		d.redeemed(first, westA, 2, 0) // another replica, by the same token
		d.refused(second.Text(), westA, 3, "is enrolled already")
		_, _, err := d.Create(t.Context(), question.TokenRequest{Target: westA, TTLSeconds: 60, Uses: 1}, "ann")
		if !errors.Is(err, question.ErrInvalid) || !strings.Contains(err.Error(), "say --replace") {
			t.Errorf("a token for an enrolled place: got %v, want it to be refused with what to say", err)
		}
		replica := d.create(westA, 1, question.TokenReplica)
		d.redeemed(replica, westA, 4, 0)
		d.wantGrant(westA, record.Grant{Enrolled: true, Token: replica.ID})
		d.redeemed(first, westA, 2, 0)

		replace := d.create(westA, 2, question.TokenReplace)
		d.redeemed(replace, westA, 5, 1)
		d.redeemed(replace, westA, 6, 1) // one replacement, two processes
		d.wantGrant(westA, record.Grant{Generation: 1, Enrolled: true, Token: replace.ID})
		d.refused(first.Text(), westA, 3, "is void") // it had a use left
		d.refused(first.Text(), westA, 1, "is void")
	})
}

// A token that was out when the place was enrolled anew gives nothing, whoever has it.
func TestUnspentTokenOfAnEarlierGeneration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, westA)
		d.redeemed(d.create(westA, 1, question.TokenNew), westA, 1, 0)
		replica, other := d.create(westA, 5, question.TokenReplica), d.create(westA, 1, question.TokenReplace)
		d.redeemed(d.create(westA, 1, question.TokenReplace), westA, 2, 1)
		d.refused(replica.Text(), westA, 3, "is void")
		d.refused(other.Text(), westA, 3, "is void")
		d.redeemed(d.create(westA, 1, question.TokenReplica), westA, 4, 1)
		d.redeemed(d.create(westA, 1, question.TokenReplace), westA, 5, 2)
	})
}

func TestPlaceRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, a1, east)
		token, unused := d.create(a1, 2, question.TokenNew), d.create(westA, 1, question.TokenNew)
		d.redeemed(token, a1, 1, 0)
		d.settle(east)
		d.wantGrant(a1, record.Grant{Generation: 1})
		d.refused(token.Text(), a1, 1, "is not known")
		d.refused(unused.Text(), westA, 1, "is not known")

		d.settle(east) // again, and nothing is raised again
		d.wantGrant(a1, record.Grant{Generation: 1})
		d.settle(a1, east)
		d.wantGrant(a1, record.Grant{Generation: 1})
		d.redeemed(d.create(a1, 1, question.TokenNew), a1, 2, 1)
	})
}

// A region that a person deleted takes with it what is below, whatever still stands there.
func TestRegionLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, a1, east)
		d.redeemed(d.create(west, 1, question.TokenNew), west, 1, 0)
		d.redeemed(d.create(a1, 1, question.TokenNew), a1, 2, 0)
		d.redeemed(d.create(east, 1, question.TokenNew), east, 3, 0)
		writes, err := d.Settle(t.Context(), enrol.NewPlaces([]question.Path{a1, east}, []question.Path{west}))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.writer.Apply(t.Context(), writes, nil); err != nil {
			t.Fatal(err)
		}
		d.wantGrant(west, record.Grant{Generation: 1})
		d.wantGrant(a1, record.Grant{Generation: 1})
		if got := d.Enrolled(); len(got) != 1 || got[0] != east {
			t.Errorf("enrolled: got %v, want %s alone", got, east)
		}
	})
}

// A place that is removed while its token's removal is not written yet is refused all the same.
func TestPlaceRemovedBeforeItIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, a1)
		token := d.create(a1, 1, question.TokenNew)
		if _, err := d.Settle(t.Context(), enrol.NewPlaces([]question.Path{west}, nil)); err != nil {
			t.Fatal(err)
		}
		d.refused(token.Text(), a1, 1, "is not in the inventory")
	})
}

func TestUndecided(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t) // the inventory was not read
		_, err := d.Redeem(t.Context(), identity.NewToken().Text(), a1, key(1))
		if !errors.Is(err, enrol.ErrFollows) || errors.Is(err, identity.ErrRefused) {
			t.Errorf("redeeming: got %v, want ErrFollows, which is not final", err)
		}
		if err := d.Await(t.Context(), a1); err != nil {
			t.Errorf("a1: got %v, want it to pass while nobody can tell", err)
		}
		d.settle(a1)
		for path, want := range map[question.Path]string{a1: "", westA: "", global: "", east: "region/east is not in the inventory"} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			err := d.Await(ctx, path)
			cancel()
			if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
				t.Errorf("%s: got %v, want %q", path, err, want)
			}
		}
		came := make(chan error, 1)
		go func() { came <- d.Await(t.Context(), east) }()
		synctest.Wait()
		d.settle(a1, east)
		if err := <-came; err != nil {
			t.Errorf("a place that comes while it is waited for: %v", err)
		}
	})
}
