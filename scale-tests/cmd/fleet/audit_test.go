package main

import (
	"testing"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/scale-tests/internal/simagent"
)

func TestAudit(t *testing.T) {
	key := record.Key{Kind: record.KindObject, Name: deploymentKey + "a"}
	other := record.Key{Kind: record.KindObject, Name: "core/v1/Namespace/-/load"}
	version := func(s string) record.Version { return record.VersionOf([]byte(s)) }
	none := record.Version{}
	in := func(rounds ...string) map[string]*intent {
		i := newIntent()
		for n, r := range rounds {
			i.add(key, version(r), n)
		}
		return map[string]*intent{"c": i}
	}
	write := func(key record.Key, before, after record.Version, fence int64) simagent.Write {
		return simagent.Write{Cluster: "c", Key: key, Before: before, Version: after, Fence: feed.Fence{Epoch: 1, Fence: fence}}
	}
	for name, c := range map[string]struct {
		intents map[string]*intent
		writes  []simagent.Write
		final   record.Version
		foreign bool // in the end there is a key of which the intent says nothing
		want    verdict
	}{
		"each round once": {in("0", "1"), []simagent.Write{write(key, none, version("0"), 1), write(key, version("0"), version("1"), 1)},
			version("1"), false, verdict{}},
		"a round left out":    {in("0", "1", "2"), []simagent.Write{write(key, version("0"), version("2"), 1)}, version("2"), false, verdict{}},
		"a later owner":       {in("0", "1"), []simagent.Write{write(key, none, version("0"), 1), write(key, version("0"), version("1"), 2)}, version("1"), false, verdict{}},
		"never wanted":        {in("0"), []simagent.Write{write(key, version("0"), version("x"), 1), write(key, version("x"), version("0"), 1)}, version("0"), false, verdict{Wrong: 1}},
		"removed":             {in("0"), []simagent.Write{write(key, version("0"), none, 1)}, none, false, verdict{Wrong: 1, Lost: 1}},
		"older after newer":   {in("0", "1"), []simagent.Write{write(key, version("1"), version("0"), 1), write(key, version("0"), version("1"), 1)}, version("1"), false, verdict{Wrong: 1}},
		"by an earlier owner": {in("0", "1"), []simagent.Write{write(key, none, version("0"), 2), write(key, version("0"), version("1"), 1)}, version("1"), false, verdict{Wrong: 1}},
		"twice":               {in("0"), []simagent.Write{write(key, none, version("0"), 1), write(key, version("0"), version("0"), 1)}, version("0"), false, verdict{Repeated: 1}},
		"not at the last":     {in("0", "1"), []simagent.Write{write(key, none, version("0"), 1)}, version("0"), false, verdict{Lost: 1}},
		"not there":           {in("0"), nil, none, false, verdict{Lost: 1}},
		"another key":         {in("0"), []simagent.Write{write(other, none, version("x"), 1)}, version("0"), false, verdict{Wrong: 1}},
		"another key removed": {in("0"), []simagent.Write{write(other, version("x"), none, 1)}, version("0"), false, verdict{Wrong: 1}},
		"another key, by an earlier owner": {in("0"), []simagent.Write{write(key, none, version("0"), 2), write(other, none, version("x"), 1)},
			version("0"), false, verdict{Wrong: 2}},
		"before another cluster's fence": {in("0"), []simagent.Write{{Cluster: "d", Fence: feed.Fence{Epoch: 1, Fence: 9}}, write(key, none, version("0"), 1)},
			version("0"), false, verdict{}},
		"another key is there": {in("0"), nil, version("0"), true, verdict{Wrong: 1}},
		"of another cluster":   {map[string]*intent{}, []simagent.Write{write(key, none, version("x"), 1)}, none, false, verdict{}},
	} {
		t.Run(name, func(t *testing.T) {
			holds := map[string]map[record.Key]record.Version{"c": {}}
			if !c.final.IsZero() {
				holds["c"][key] = c.final
			}
			if c.foreign {
				holds["c"][other] = version("x")
			}
			got := audit(c.intents, c.writes, holds)
			if got.Wrong != c.want.Wrong || got.Lost != c.want.Lost || got.Repeated != c.want.Repeated {
				t.Errorf("got %d wrong, %d lost, %d repeated; want %d, %d, %d: %q", got.Wrong, got.Lost, got.Repeated,
					c.want.Wrong, c.want.Lost, c.want.Repeated, got.Examples)
			}
			if want := got.Wrong + got.Lost + got.Repeated; len(got.Examples) != want {
				t.Errorf("got the examples %q, want %d", got.Examples, want)
			}
		})
	}
}
