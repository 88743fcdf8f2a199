package children_test

import (
	"crypto/tls"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/meridian-federation/meridian/internal/audit"
	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/identity/identitytest"
	"github.com/meridian-federation/meridian/internal/question"
)

// TestStrangersLeaveRoom has a stranger make many connections: most are closed, which is audited, and a child is served.
func TestStrangersLeaveRoom(t *testing.T) {
	r := newTier(t, question.Path{Region: "west", Zone: "a"}, identitytest.Options{})
	closed := 0
	for range 100 {
		conn, err := tls.Dial("tcp", r.address, identity.VisitorTLS(r.own.Source().TrustDomain(), r.own.Source().Roots(), r.path))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if err := conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 1)); errors.Is(err, io.EOF) {
			closed++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if closed < 50 {
		t.Errorf("%d of 100 connections were closed, want most", closed)
	}
	if events := r.trail.Events(audit.PeerRefused); len(events) == 0 || !strings.Contains(events[0].Reason, "without a certificate") {
		t.Errorf("audited: %+v, want that it had too many connections without a certificate", events)
	}
	r.child(question.Path{Region: "west", Zone: "a", Cluster: "c"})
}
