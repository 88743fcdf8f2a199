package main

import (
	"fmt"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/scale-tests/internal/simagent"
)

// maxExamples bounds what a verdict quotes.
const maxExamples = 5

// intent is what a cluster should have, round after round.
type intent struct {
	// rounds are the versions that each key may have, with the round that each belongs to. The same version may belong to
	// several; the last is kept, which finds no order wrong that is right.
	rounds map[record.Key]map[record.Version]int
	// final is what the cluster should have in the end.
	final map[record.Key]record.Version
}

func newIntent() *intent {
	return &intent{rounds: map[record.Key]map[record.Version]int{}, final: map[record.Key]record.Version{}}
}

// add says that a key should have a version at a round, and from then on until something else is said.
func (i *intent) add(key record.Key, version record.Version, round int) {
	if i.rounds[key] == nil {
		i.rounds[key] = map[record.Version]int{}
	}
	i.rounds[key][version] = round
	i.final[key] = version
}

// verdict is what the agents' logs say when they are held against the intent.
type verdict struct {
	// Wrong are writes of a version or a key that was never wanted, removals, writes that are older than what was there or
	// under a lower fence than one before, and keys that in the end are there and were never wanted. Repeated ones are of
	// the version that was there. Lost are keys that in the end are not as wanted.
	Wrong, Lost, Repeated int
	// Examples are the first few.
	Examples []string
}

func (v *verdict) note(count *int, format string, args ...any) {
	*count++
	if len(v.Examples) < maxExamples {
		v.Examples = append(v.Examples, fmt.Sprintf(format, args...))
	}
}

// audit holds writes, in order, and what clusters have in the end against the intent of each, which is of all that belongs
// in the cluster. Clusters without an intent are passed over.
func audit(intents map[string]*intent, writes []simagent.Write, holds map[string]map[record.Key]record.Version) verdict {
	var v verdict
	fences := map[string]simagent.Write{}
	for _, w := range writes {
		in := intents[w.Cluster]
		if in == nil {
			continue
		}
		if last, ok := fences[w.Cluster]; ok && last.Fence.Epoch == w.Fence.Epoch && w.Fence.Fence < last.Fence.Fence {
			v.note(&v.Wrong, "cluster %s: %s was written under fence %s after one under %s", w.Cluster, w.Key, w.Fence, last.Fence)
		}
		fences[w.Cluster] = w
		in.judge(&v, w)
	}
	for cluster, in := range intents {
		in.judgeEnd(&v, cluster, holds[cluster])
	}
	return v
}

// judgeEnd takes what a cluster has in the end.
func (i *intent) judgeEnd(v *verdict, cluster string, holds map[record.Key]record.Version) {
	for key, want := range i.final {
		if got := holds[key]; got != want {
			v.note(&v.Lost, "cluster %s: %s is at %s in the end, and should be at %s", cluster, key, got, want)
		}
	}
	for key := range holds {
		if i.rounds[key] == nil {
			v.note(&v.Wrong, "cluster %s: %s is there in the end, and never should have been", cluster, key)
		}
	}
}

// judge takes one write.
func (i *intent) judge(v *verdict, w simagent.Write) {
	round, wanted := i.rounds[w.Key][w.Version]
	before, known := i.rounds[w.Key][w.Before]
	switch {
	case w.Version.IsZero():
		v.note(&v.Wrong, "cluster %s: %s was removed", w.Cluster, w.Key)
	case !wanted:
		v.note(&v.Wrong, "cluster %s: %s was written at %s, which was never wanted", w.Cluster, w.Key, w.Version)
	case w.Version == w.Before:
		v.note(&v.Repeated, "cluster %s: %s was written at %s again", w.Cluster, w.Key, w.Version)
	case known && round < before:
		v.note(&v.Wrong, "cluster %s: %s was written at round %d after round %d", w.Cluster, w.Key, round, before)
	}
}
