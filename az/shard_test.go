package az

import (
	"bytes"
	"fmt"
	"log/slog"
	"testing"

	"github.com/meridian-federation/meridian/internal/record"
)

// TestClustersOfOnePrimaryStayTogether deals ten groups of four clusters to replicas: none is divided, and a group weighs what
// its clusters weigh.
func TestClustersOfOnePrimaryStayTogether(t *testing.T) {
	clusters, weights := map[string]record.Cluster{}, weights{}
	for g := range 10 {
		for m := range 4 {
			c := record.Cluster{Name: fmt.Sprintf("c%d-%d", g, m)}
			if m > 0 {
				c.Mesh.Primary = fmt.Sprintf("c%d-0", g)
			}
			clusters[c.Name], weights[c.Name] = c, int64(10*(m+1))
		}
	}
	dealt := dealGroups([]string{"r0", "r1", "r2"}, clusters, weights)
	loads := map[string]int64{}
	for name, c := range clusters {
		if primary := c.Mesh.Primary; primary != "" && dealt[name] != dealt[primary] {
			t.Errorf("%s is dealt to %s, its primary to %s", name, dealt[name], dealt[primary])
		}
		loads[dealt[name]] += weights.of(name)
	}
	for _, id := range []string{"r0", "r1", "r2"} {
		// A share of 1,000 in three, a quarter of it, and the heaviest group.
		if bound := int64(334 + 83 + 100); loads[id] == 0 || loads[id] > bound {
			t.Errorf("%s has %d of 1000, want some, and %d at most", id, loads[id], bound)
		}
	}
	if got := dealGroups(nil, clusters, weights); len(got) > 0 {
		t.Errorf("with nobody to deal to, %v are dealt", got)
	}
}

// TestWeightsThatCannotBeRead are complained of once for each time that they change, and those known before stay.
func TestWeightsThatCannotBeRead(t *testing.T) {
	var log bytes.Buffer
	s := &clusterShard{log: slog.New(slog.NewTextHandler(&log, nil))}
	s.weigh([]byte(`{"c1": 7}`))
	for range 3 {
		s.weigh([]byte(`{"c1": "many"}`))
	}
	if got := bytes.Count(log.Bytes(), []byte("level=ERROR")); got != 1 {
		t.Errorf("logged %d errors, want one: %s", got, &log)
	}
	if got := s.weights.of("c1"); got != 7 {
		t.Errorf("the weight of c1 is %d, want 7 as before", got)
	}
}
