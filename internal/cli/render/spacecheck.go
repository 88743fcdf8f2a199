package render

import (
	"fmt"
	"io"

	"github.com/meridian-federation/meridian/internal/question"
)

// SpaceCheck writes what the audits of all places found and mended, and what was not examined.
func SpaceCheck(w io.Writer, top *question.Node) error {
	branches := lines(top)
	rows := [][]string{{"PLACE", "FINDING", "POOL", "PREFIX", "OWNER", "MENDABLE", ""}}
	var repaired [][]string
	places, entries, total := 0, int64(0), 0
	for _, b := range branches {
		if b.node.Space == nil || b.node.Space.Check == nil {
			continue
		}
		c := b.node.Space.Check
		places, entries, total = places+1, entries+c.Entries, total+c.Total
		for _, f := range c.Findings {
			rows = append(rows, findingRow(b, f))
		}
		if more := c.Total - len(c.Findings); more > 0 {
			rows = append(rows, []string{b.path.String(), fmt.Sprintf("… and %d more", more)})
		}
		for _, sentence := range c.Repaired {
			repaired = append(repaired, []string{b.path.String(), sentence})
		}
	}
	if len(rows) > 1 {
		if err := columns(w, rows); err != nil {
			return err
		}
		fmt.Fprintln(w)
	}
	_, err := fmt.Fprintf(w, "examined at %s: %d taken; %s\n", count(int32(places), "place"), entries, count(int32(total), "finding"))
	if err != nil {
		return err
	}
	if err := section(w, "MENDED", repaired); err != nil {
		return err
	}
	if err := section(w, "NOT EXAMINED", silentRows(branches)); err != nil {
		return err
	}
	return notes(w, top)
}

func findingRow(b branch, f question.Finding) []string {
	prefix, mendable := "-", "-"
	if f.Prefix.IsValid() {
		prefix = f.Prefix.String()
	}
	if f.Mendable {
		mendable = "yes"
	}
	return []string{b.path.String(), f.Kind, dash(f.Pool), prefix, dash(f.Owner), mendable, firstLine(f.Message)}
}
