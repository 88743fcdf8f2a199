package az

import (
	"bytes"
	"fmt"
	"log/slog"
	"testing"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/shard"
)

// TestClustersOfOnePrimaryStayTogether deals ten groups of four clusters to replicas: none is divided, and each is dealt as one
// that weighs what its clusters weigh.
func TestClustersOfOnePrimaryStayTogether(t *testing.T) {
	clusters, weights := map[string]record.Cluster{}, weights{}
	var groups []shard.Load
	for g := range 10 {
		unit := int64(1)
		if g < 4 { // heavy enough for another deal than by number
			unit = 50
		}
		groups = append(groups, shard.Load{Key: fmt.Sprintf("c%d-0", g), Weight: 10 * unit})
		for m := range 4 {
			c := record.Cluster{Name: fmt.Sprintf("c%d-%d", g, m)}
			if m > 0 {
				c.Mesh.Primary = fmt.Sprintf("c%d-0", g)
			}
			clusters[c.Name], weights[c.Name] = c, int64(m+1)*unit
		}
	}
	members := []string{"r0", "r1", "r2"}
	dealt, want := dealGroups(members, clusters, weights), shard.Deal(members, groups)
	for name, c := range clusters {
		if primary := placeOf(c).Primary; dealt[name] != want[primary] {
			t.Errorf("%s is dealt to %s, its group to %s", name, dealt[name], want[primary])
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
