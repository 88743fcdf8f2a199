package render

import (
	"fmt"
	"io"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/meridian-federation/meridian/internal/question"
)

// barLength is how many signs the bar of a pool has that is all taken.
const barLength = 20

// Space writes how much of each pool is taken, in all and at each place that holds some of it.
func Space(w io.Writer, top *question.Node) error {
	rows := [][]string{{"POOL", "PLACE", "TAKEN", "", "ADDRESSES", "OF", "LARGEST FREE", "BLOCKS", ""}}
	branches := lines(top)
	for _, pool := range poolsOf(branches) {
		name := pool
		for _, b := range branches {
			if p := poolAt(b.node, pool); p != nil {
				rows = append(rows, append([]string{name, b.path.String()}, usage(p)...))
				name = ""
			}
		}
	}
	if len(rows) == 1 {
		if _, err := fmt.Fprintln(w, "No place holds any address space."); err != nil {
			return err
		}
	} else if err := columns(w, rows); err != nil {
		return err
	}
	if err := section(w, "NOT KNOWN", silentRows(branches)); err != nil {
		return err
	}
	return notes(w, top)
}

// poolsOf are the names of all pools that some node holds some of.
func poolsOf(branches []branch) []string {
	names := map[string]bool{}
	for _, b := range branches {
		if b.node.Space != nil {
			for _, p := range b.node.Space.Pools {
				names[p.Pool] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

func poolAt(n *question.Node, pool string) *question.SpacePool {
	if n.Space == nil {
		return nil
	}
	for i := range n.Space.Pools {
		if p := &n.Space.Pools[i]; p.Pool == pool {
			return p
		}
	}
	return nil
}

func usage(p *question.SpacePool) []string {
	share := 0.0
	if p.Addresses > 0 {
		share = min(p.Taken/p.Addresses, 1)
	}
	largest := "-"
	if p.Largest >= 0 {
		largest = fmt.Sprintf("/%d", p.Largest)
	}
	var remarks []string
	if p.LowWater > 0 && 100*(1-share) < float64(p.LowWater) {
		remarks = append(remarks, fmt.Sprintf("less than %d %% free", p.LowWater))
	}
	closed := 0
	for _, b := range p.Blocks {
		if b.Closed {
			closed++
		}
	}
	if closed > 0 {
		remarks = append(remarks, fmt.Sprintf("%d being drained", closed))
	}
	blocks := fmt.Sprint(len(p.Blocks))
	if len(p.Blocks) == 0 && p.Addresses > 0 { // left out, as the note at the end says
		blocks = "?"
	}
	return []string{bar(share), percent(share), amount(p.Taken), amount(p.Addresses), largest, blocks, strings.Join(remarks, ", ")}
}

// bar shows what is taken: nothing looks like nothing and all like all only where that is so.
func bar(share float64) string {
	full := int(math.Round(share * barLength))
	if share > 0 {
		full = max(full, 1)
	}
	if share < 1 {
		full = min(full, barLength-1)
	}
	return strings.Repeat("█", full) + strings.Repeat("░", barLength-full)
}

func percent(share float64) string {
	switch p := 100 * share; {
	case share > 0 && p < 1:
		return "<1 %"
	case share < 1 && p > 99:
		return ">99 %"
	default:
		return fmt.Sprintf("%.0f %%", p)
	}
}

// amount is a number of addresses: exact as long as a person reads it.
func amount(n float64) string {
	const readable = 100e6
	if n < readable {
		return fmt.Sprintf("%.0f", n)
	}
	return fmt.Sprintf("%.3g", n)
}

// silentRows are the nodes that did not answer.
func silentRows(branches []branch) [][]string {
	var rows [][]string
	for _, b := range branches {
		if b.node.Unanswered != "" {
			rows = append(rows, []string{b.path.String(), firstLine(b.node.Unanswered)})
		}
	}
	return rows
}

// Found writes who has the prefix: from Global's range down to the entry, one line for each place on the way.
func Found(w io.Writer, top *question.Node, prefix netip.Prefix, now time.Time) error {
	rows := [][]string{{"PLACE", "POOL", "HOLDS", "GIVEN", "TO", "SINCE", ""}}
	branches := lines(top)
	for _, b := range branches {
		if b.node.Space != nil && b.node.Space.Found != nil {
			rows = append(rows, foundRows(b.path.String(), b.node.Space.Found, now)...)
		}
	}
	if len(rows) > 1 {
		if err := columns(w, rows); err != nil {
			return err
		}
		fmt.Fprintln(w)
	}
	for _, sentence := range verdicts(branches, prefix) {
		if _, err := fmt.Fprintln(w, sentence); err != nil {
			return err
		}
	}
	if err := section(w, "NOT KNOWN", silentRows(branches)); err != nil {
		return err
	}
	return notes(w, top)
}

// foundRows are the blocks of a place, each with the entries that lie in it, and then entries that lie in none.
func foundRows(place string, f *question.SpaceFound, now time.Time) [][]string {
	var rows [][]string
	listed := make([]bool, len(f.Entries))
	for _, b := range f.Blocks {
		state := ""
		if b.Closed {
			state = "being drained"
		}
		found := false
		for i, e := range f.Entries {
			if e.Pool == b.Pool && b.Prefix.Bits() <= e.Prefix.Bits() && b.Prefix.Contains(e.Prefix.Addr()) {
				rows = append(rows, entryRow(place, b.Prefix.String(), e, state, now))
				found, listed[i] = true, true
			}
		}
		if !found {
			rows = append(rows, []string{place, b.Pool, b.Prefix.String(), "-", "nobody", "-", state})
		}
	}
	for i, e := range f.Entries {
		if !listed[i] {
			rows = append(rows, entryRow(place, "-", e, "lies in no block", now))
		}
	}
	if f.More {
		rows = append(rows, []string{place, "…"})
	}
	return rows
}

func entryRow(place, block string, e question.SpaceEntry, state string, now time.Time) []string {
	owner := e.Owner
	if !e.Until.IsZero() {
		state = strings.TrimPrefix(state+", released; in quarantine until "+e.Until.UTC().Format(time.RFC3339), ", ")
	}
	if e.Tenant != "" {
		owner += " (tenant " + e.Tenant + ")"
	}
	return []string{place, e.Pool, block, e.Prefix.String(), owner, ago(now, e.Since), state}
}

// verdicts say in a sentence for each pool that has the prefix who has it in the end: whoever it was not handed on by.
func verdicts(branches []branch, prefix netip.Prefix) []string {
	what := prefix.String()
	if prefix.IsSingleIP() {
		what = prefix.Addr().String()
	}
	pools := map[string][]string{}
	for _, b := range branches {
		if b.node.Space == nil || b.node.Space.Found == nil {
			continue
		}
		for _, block := range b.node.Space.Found.Blocks {
			pools[block.Pool] = append(pools[block.Pool], "")
		}
		for _, e := range b.node.Space.Found.Entries {
			if !strings.HasPrefix(e.Owner, "delegated/") && e.Until.IsZero() {
				pools[e.Pool] = append(pools[e.Pool], fmt.Sprintf("%s has %s of pool %s, from %s.", e.Owner, e.Prefix, e.Pool, b.path))
			}
		}
	}
	if len(pools) == 0 {
		return []string{what + " lies in no pool."}
	}
	var out []string
	for _, pool := range slices.Sorted(maps.Keys(pools)) {
		holders := slices.DeleteFunc(pools[pool], func(s string) bool { return s == "" })
		if len(holders) == 0 {
			holders = []string{fmt.Sprintf("Nobody has anything of %s in pool %s.", what, pool)}
		}
		out = append(out, holders...)
	}
	return out
}
