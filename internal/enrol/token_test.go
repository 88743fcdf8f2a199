package enrol_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meridian-federation/meridian/internal/question"
)

func TestCreateRefuses(t *testing.T) {
	tests := []struct {
		name    string
		request question.TokenRequest
		want    string
	}{
		{"unknown region", question.TokenRequest{Target: question.Path{Region: "north"}, TTLSeconds: 60, Uses: 1}, "region: there is no Region north"},
		{"unknown zone", question.TokenRequest{Target: question.Path{Region: "west", Zone: "west-b"}, TTLSeconds: 60, Uses: 1}, "zone: there is no accepted Zone west-b in region west"},
		{"unknown cluster", question.TokenRequest{Target: question.Path{Region: "west", Zone: "west-a", Cluster: "a2"}, TTLSeconds: 60, Uses: 1}, "cluster: there is no accepted Cluster a2 in zone west-a"},
		{"no time", question.TokenRequest{Target: west, Uses: 1}, "ttl: 0 seconds"},
		{"too long", question.TokenRequest{Target: west, TTLSeconds: 8 * 24 * 3600, Uses: 1}, "ttl: 691200 seconds are not between 1 second and 7 days"},
		{"no use", question.TokenRequest{Target: west, TTLSeconds: 60}, "uses: 0 is not between 1 and 100"},
		{"another mode", question.TokenRequest{Target: west, TTLSeconds: 60, Uses: 1, Mode: "force"}, `mode: "force"`},
		{"Global anew", question.TokenRequest{TTLSeconds: 60, Uses: 1}, "target: say --region"},
	}
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, a1)
		for _, tt := range tests {
			_, _, err := d.Create(t.Context(), tt.request, "ann")
			if !errors.Is(err, question.ErrInvalid) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
			}
		}
		if got := d.Tokens(); len(got) != 0 {
			t.Errorf("tokens: got %v, want none", got)
		}
	})
}

func TestTokensEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, a1, east)
		short := d.create(a1, 1, question.TokenNew)
		time.Sleep(30 * time.Minute)
		long := d.create(east, 1, question.TokenNew)
		wantTokens := func(want ...string) {
			t.Helper()
			synctest.Wait()
			got := map[string]bool{}
			for _, k := range d.Tokens() {
				got[k.ID] = true
			}
			for _, id := range want {
				if !got[id] {
					t.Errorf("tokens: got %v, want %s among them", got, id)
				}
			}
			if len(got) != len(want) {
				t.Errorf("tokens: got %v, want %v", got, want)
			}
		}
		wantTokens(short.ID, long.ID)
		time.Sleep(90*time.Minute - time.Second)
		wantTokens(short.ID, long.ID) // the first has ended, and is told of
		time.Sleep(2 * time.Second)
		wantTokens(long.ID)
		time.Sleep(time.Hour)
		wantTokens()
	})
}

func TestRevoke(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, a1)
		token := d.create(a1, 1, question.TokenNew)
		if err := d.Revoke(t.Context(), token.ID); err != nil {
			t.Fatal(err)
		}
		d.refused(token.Text(), a1, 1, "is not known")
		if err := d.Revoke(t.Context(), token.ID); !errors.Is(err, question.ErrNotFound) {
			t.Errorf("revoking it again: got %v, want ErrNotFound", err)
		}
	})
}

// What is kept of a token does not hold its secret.
func TestSecretIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, a1)
		token := d.create(a1, 1, question.TokenNew)
		for e := range d.mirror.Snapshot().Entries() {
			if strings.Contains(string(e.Content), token.Secret) {
				t.Errorf("record %s holds the secret", e.Key)
			}
		}
	})
}
