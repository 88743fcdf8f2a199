package shard_test

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/meridian-federation/meridian/internal/shard"
)

// weights draws a weight with a heavy tail: each power of two up to 2^16 is as likely as the next, small numbers repeat.
func weights() *rapid.Generator[int64] {
	return rapid.Custom(func(t *rapid.T) int64 {
		return rapid.Int64Range(1, 1<<rapid.IntRange(0, 16).Draw(t, "bits")).Draw(t, "weight")
	})
}

// drawDeal draws members and distinct keys; in one of four deals all weigh the same.
func drawDeal(t *rapid.T) (members []string, loads []shard.Load) {
	seed := rapid.Uint64().Draw(t, "seed")
	for i := range rapid.IntRange(1, 12).Draw(t, "members") {
		members = append(members, fmt.Sprintf("zone-%x-%d", seed, i))
	}
	keys := rapid.IntRange(0, 300).Draw(t, "keys")
	equal := rapid.IntRange(0, 3).Draw(t, "equal") == 0
	for i := range keys {
		weight := int64(7)
		if !equal {
			weight = weights().Draw(t, "weight")
		}
		loads = append(loads, shard.Load{Key: fmt.Sprintf("cluster-%x-%d", seed, i), Weight: weight})
	}
	return members, loads
}

// sizes returns the fair share, rounded up, and the largest weight.
func sizes(members int, loads []shard.Load) (share, largest int64) {
	var total int64
	for _, l := range loads {
		total += l.Weight
		largest = max(largest, l.Weight)
	}
	return (total + int64(members) - 1) / int64(members), largest
}

// moved sums the weights of the loads that two deals gave to different members, one key apart.
func moved(a, b map[string]string, loads []shard.Load, except string) (sum int64) {
	for _, l := range loads {
		if l.Key != except && a[l.Key] != b[l.Key] {
			sum += l.Weight
		}
	}
	return sum
}

// TestDealIsBalanced checks on random deals that every key has a member and no member more than its bound.
func TestDealIsBalanced(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members, loads := drawDeal(t)
		dealt := shard.Deal(members, loads)
		if len(dealt) != len(loads) {
			t.Fatalf("%d keys were dealt, want %d", len(dealt), len(loads))
		}
		got := map[string]int64{}
		for _, l := range loads {
			if !slices.Contains(members, dealt[l.Key]) {
				t.Fatalf("%s was dealt to %q, want one of %v", l.Key, dealt[l.Key], members)
			}
			got[dealt[l.Key]] += l.Weight
		}
		share, largest := sizes(len(members), loads)
		for m, load := range got {
			if bound := share + share/4 + largest; load > bound {
				t.Errorf("%s got %d, want at most %d (share %d, largest %d)", m, load, bound, share, largest)
			}
		}
	})
}

// TestDealMovesLittle checks on random deals what a member's leaving moves, which is what its joining does.
func TestDealMovesLittle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members, loads := drawDeal(t)
		gone := rapid.SampledFrom(members).Draw(t, "gone")
		rest := slices.DeleteFunc(slices.Clone(members), func(m string) bool { return m == gone })
		if len(rest) == 0 {
			return
		}
		with, without := shard.Deal(members, loads), shard.Deal(rest, loads)
		share, largest := sizes(len(members), loads)
		if got, bound := moved(with, without, loads, ""), 2*share+8*largest; got > bound {
			t.Errorf("%s left and %d moved, want at most %d (share %d, largest %d)", gone, got, bound, share, largest)
		}
	})
}

// TestDealIgnoresOrder checks that neither argument's order, nor a member that is given twice, changes anything.
func TestDealIgnoresOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members, loads := drawDeal(t)
		want := shard.Deal(members, loads)
		again := append(slices.Clone(members), members[0])
		shuffled := slices.Clone(loads)
		rand.Shuffle(len(again), func(i, j int) { again[i], again[j] = again[j], again[i] })
		rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if got := shard.Deal(again, shuffled); !maps.Equal(got, want) {
			t.Errorf("in another order: %v, want %v", got, want)
		}
	})
}

func TestDeal(t *testing.T) {
	many := make([]shard.Load, 100)
	for i := range many {
		many[i] = shard.Load{Key: fmt.Sprint("cluster-", i), Weight: math.MaxInt64}
	}
	counts := map[string]int{}
	for _, m := range shard.Deal([]string{"a", "b", "c", "d"}, many) {
		counts[m]++
	}
	for m, n := range counts {
		if n > 25+25/4+1 {
			t.Errorf("of a hundred keys of the same enormous weight %s got %d, want at most 32", m, n)
		}
	}
	for _, test := range []struct {
		name    string
		members []string
		loads   []shard.Load
		want    map[string]string
	}{
		{"nothing at all", nil, nil, map[string]string{}},
		{"no members", nil, []shard.Load{{"one", 1}}, map[string]string{}},
		{"no keys", []string{"a", "b"}, nil, map[string]string{}},
		{"one member", []string{"a"}, []shard.Load{{"one", 1}, {"two", -5}, {"three", 0}},
			map[string]string{"one": "a", "two": "a", "three": "a"}},
		// The deal is the same in every version that may run beside this one: a change here moves clusters.
		{"as ever", []string{"r0", "r1", "r2"}, []shard.Load{{"c1", 1}, {"c2", 2}, {"c3", 3}, {"c4", 1}, {"c5", 1}, {"c6", 1}},
			map[string]string{"c1": "r1", "c2": "r2", "c3": "r0", "c4": "r0", "c5": "r0", "c6": "r1"}},
	} {
		if got := shard.Deal(test.members, test.loads); !maps.Equal(got, test.want) {
			t.Errorf("%s: dealt %v, want %v", test.name, got, test.want)
		}
	}
}

// TestDealOfOtherKeys checks over many deals that a key that comes, or changes its weight, hardly moves others.
func TestDealOfOtherKeys(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	const deals = 500
	var added, grown float64
	for d := range deals {
		members := make([]string, 1+random.IntN(12))
		for i := range members {
			members[i] = fmt.Sprintf("zone-%d-%d", d, i)
		}
		loads := make([]shard.Load, 1+random.IntN(300))
		for i := range loads {
			loads[i] = shard.Load{Key: fmt.Sprintf("cluster-%d-%d", d, i), Weight: int64(1) << random.IntN(10)}
		}
		_, largest := sizes(len(members), loads)
		before := shard.Deal(members, loads)
		changed := &loads[random.IntN(len(loads))]
		more := append(slices.Clone(loads), shard.Load{Key: "another", Weight: changed.Weight})
		added += float64(moved(before, shard.Deal(members, more), loads, "")) / float64(largest)
		changed.Weight += max(changed.Weight/10, 1)
		grown += float64(moved(before, shard.Deal(members, loads), loads, changed.Key)) / float64(largest)
	}
	if mean := added / deals; mean > 0.25 {
		t.Errorf("a new key moved others of %.2f times the largest weight on average, want at most 0.25", mean)
	}
	if mean := grown / deals; mean > 0.1 {
		t.Errorf("a key that grew moved others of %.2f times the largest weight on average, want at most 0.1", mean)
	}
	t.Logf("moved on average, in largest weights: %.3f for a new key, %.3f for one that grew", added/deals, grown/deals)
}

func BenchmarkDeal(b *testing.B) {
	for _, size := range []struct{ members, keys int }{{3, 100}, {3, 1000}, {12, 5000}} {
		b.Run(fmt.Sprintf("members=%d/keys=%d", size.members, size.keys), func(b *testing.B) {
			members := make([]string, size.members)
			for i := range members {
				members[i] = fmt.Sprint("zone-", i)
			}
			loads := make([]shard.Load, size.keys)
			for i := range loads {
				loads[i] = shard.Load{Key: fmt.Sprint("cluster-", i), Weight: int64(i%97 + 1)}
			}
			b.ReportAllocs()
			for b.Loop() {
				shard.Deal(members, loads)
			}
		})
	}
}
