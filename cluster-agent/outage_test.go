package clusteragent

import (
	"testing"

	"github.com/meridian-federation/meridian/internal/localkube"
)

// TestOutage sends a change while the API server is away: it is neither lost nor rejected.
func TestOutage(t *testing.T) {
	cfg := localkube.Config{APIOnly: true, Dir: t.TempDir()}
	c := localkube.ForTest(t, cfg)
	if err := installRole(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	z := newZone(t)
	agent := startAgent(t, c, z, "outage")
	cm := configMap(t, "outage", "a", "1")
	z.put(namespaceRecord(t, "outage"), cm)
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	next := configMap(t, "outage", "a", "2")
	z.send(next)
	c = localkube.ForTest(t, cfg)
	z.put(next)
	if reason := z.rejection(next.Key); reason != "" {
		t.Errorf("rejected for %q", reason)
	}
	newAdmin(t, c).delete(next.Key)
	eventually(t, "the object put back", func() bool { _, err := newAdmin(t, c).get(next.Key); return err == nil })
	agent.settle()
}
