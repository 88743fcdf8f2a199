package shard_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/meridian-federation/meridian/internal/shard"
)

// TestChoose checks on random members that order does not matter and that a member's leaving moves only its own keys.
func TestChoose(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z]{1,6}`), 1, 12, rapid.ID[string]).Draw(t, "members")
		n := rapid.IntRange(1, 4).Draw(t, "n")
		gone := rapid.SampledFrom(members).Draw(t, "gone")
		key := rapid.String().Draw(t, "key")
		chosen := shard.Choose(key, members, n)
		if len(chosen) != min(n, len(members)) {
			t.Fatalf("chose %d of %d, want %d", len(chosen), len(members), n)
		}
		shuffled := slices.Clone(members)
		rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if again := shard.Choose(key, shuffled, n); !slices.Equal(chosen, again) {
			t.Fatalf("in another order: %v, want %v", again, chosen)
		}
		without := shard.Choose(key, slices.DeleteFunc(slices.Clone(members), func(m string) bool { return m == gone }), n)
		for _, m := range chosen {
			if m != gone && !slices.Contains(without, m) {
				t.Fatalf("%s left and %s was no longer chosen: %v, then %v", gone, m, chosen, without)
			}
		}
	})
}

// TestChooseIsFair counts choices over many keys.
func TestChooseIsFair(t *testing.T) {
	members := []string{"a", "b", "c", "d", "e"}
	counts := map[string]int{}
	const keys = 10_000
	for i := range keys {
		counts[shard.Choose(fmt.Sprint("shop/app-", i), members, 1)[0]]++
	}
	for _, m := range members {
		if n := counts[m]; n < keys/5*9/10 || n > keys/5*11/10 {
			t.Errorf("%s was chosen %d times of %d, want about %d", m, n, keys, keys/5)
		}
	}
}
