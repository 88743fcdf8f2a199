package asker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/client-go/rest"

	"github.com/meridian-federation/meridian/internal/asker"
	"github.com/meridian-federation/meridian/internal/question"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hub is an API server that knows tokens that begin with "of-", and allows everything.
type hub struct {
	tokens atomic.Int64 // the reviews of tokens that it was asked for
	// stuck holds back reviews of tokens that it does not know; a nil one does not.
	stuck   chan struct{}
	waiting chan struct{}
}

func (h *hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if strings.HasSuffix(r.URL.Path, "/subjectaccessreviews") {
		answer := authorizationv1.SubjectAccessReview{Status: authorizationv1.SubjectAccessReviewStatus{Allowed: true}}
		_ = json.NewEncoder(w).Encode(answer)
		return
	}
	var review authenticationv1.TokenReview
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	h.tokens.Add(1)
	name, known := strings.CutPrefix(review.Spec.Token, "of-")
	if !known && h.stuck != nil {
		h.waiting <- struct{}{}
		select {
		case <-h.stuck:
		case <-r.Context().Done():
		}
	}
	review.Status = authenticationv1.TokenReviewStatus{Authenticated: known, User: authenticationv1.UserInfo{Username: name}}
	_ = json.NewEncoder(w).Encode(review)
}

func newDesk(t *testing.T, h *hub) *asker.Desk {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	desk, err := asker.New(&rest.Config{Host: server.URL, QPS: -1,
		ContentConfig: rest.ContentConfig{ContentType: "application/json"}})
	if err != nil {
		t.Fatal(err)
	}
	return desk
}

// call is one that comes from an address with a token.
func call(ctx context.Context, from byte, token string) context.Context {
	ctx = peer.NewContext(ctx, &peer.Peer{Addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, from), Port: 4242}})
	return metadata.NewIncomingContext(ctx, metadata.Pairs("authorization", "Bearer "+token))
}

// TestTokensThatNobodyHas has one address send them: the same is asked about once, many soon no more, and people at other
// addresses, and those who are known at that one, are served on.
func TestTokensThatNobodyHas(t *testing.T) {
	h := &hub{}
	desk := newDesk(t, h)
	if _, err := desk.Who(call(t.Context(), 1, "of-carl")); err != nil {
		t.Fatal(err)
	}
	before := h.tokens.Load()
	for range 10 {
		if _, err := desk.Who(call(t.Context(), 1, "junk")); !errors.Is(err, question.ErrUnauthenticated) {
			t.Fatalf("with a token that nobody has: got %v, want it refused", err)
		}
	}
	if got := h.tokens.Load() - before; got != 1 {
		t.Errorf("the API server was asked %d times about one token, want once", got)
	}
	const many = 2000
	for n := range many {
		_, _ = desk.Who(call(t.Context(), 1, fmt.Sprint("junk-", n)))
	}
	if got := h.tokens.Load() - before; got > many/2 {
		t.Errorf("the API server was asked %d times about %d tokens of one address, want it spared", got, many)
	}
	if _, err := desk.Who(call(t.Context(), 1, "junk-last")); !errors.Is(err, question.ErrUnavailable) || !strings.Contains(err.Error(), "this address") {
		t.Errorf("one more: got %v, want that too many came from the address", err)
	}
	for _, who := range []struct {
		from byte
		name string
	}{{1, "carl"}, {2, "paula"}} {
		if user, err := desk.Who(call(t.Context(), who.from, "of-"+who.name)); err != nil || user.Name != who.name {
			t.Errorf("%s: got %q, %v, want to be known", who.name, user.Name, err)
		}
	}
}

// TestManyPeopleAtOneAddress holds that nobody's own token counts against an address.
func TestManyPeopleAtOneAddress(t *testing.T) {
	desk := newDesk(t, &hub{})
	for n := range 500 {
		if _, err := desk.Who(call(t.Context(), 1, fmt.Sprint("of-", n))); err != nil {
			t.Fatalf("person %d: %v", n, err)
		}
	}
}

// TestRightsWhileTokensWait holds that what is asked about people who are known waits for no stranger's token.
func TestRightsWhileTokensWait(t *testing.T) {
	const strangers = 40 // of two addresses each; more than are asked about at once
	h := &hub{stuck: make(chan struct{}), waiting: make(chan struct{}, 2*strangers)}
	desk := newDesk(t, h)
	paula, err := desk.Who(call(t.Context(), 3, "of-paula"))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 2*strangers)
	ctx, cancel := context.WithCancel(t.Context())
	for n := range 2 * strangers {
		go func() {
			_, err := desk.Who(call(ctx, byte(n%2), fmt.Sprint("junk-", n)))
			done <- err
		}()
	}
	for range 32 {
		<-h.waiting
	}
	if err := desk.May(t.Context(), paula, asker.Right{Verb: "list", Resource: "clusters"}); err != nil {
		t.Errorf("while strangers wait: got %v, want an answer", err)
	}
	cancel()
	close(h.stuck)
	for range 2 * strangers {
		if err := <-done; err == nil {
			t.Error("a stranger is known")
		}
	}
}

func TestTokenThatIsTooLong(t *testing.T) {
	h := &hub{}
	_, err := newDesk(t, h).Who(call(t.Context(), 1, "of-"+strings.Repeat("x", 9000)))
	if !errors.Is(err, question.ErrUnauthenticated) || !strings.Contains(err.Error(), "longer than 8192 bytes") || h.tokens.Load() > 0 {
		t.Errorf("got %v after %d reviews, want it refused without any", err, h.tokens.Load())
	}
}
