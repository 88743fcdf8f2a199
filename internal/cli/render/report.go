package render

import (
	"fmt"
	"io"
	"strings"

	"github.com/meridian-federation/meridian/internal/verify"
)

// Report writes what was found, the worst first, and then what was examined.
func Report(w io.Writer, r *verify.Report) error {
	if len(r.Findings) > 0 {
		rows := [][]string{{"SEVERITY", "CHECK", "SUBJECT", "FINDING"}}
		for _, f := range r.Findings {
			rows = append(rows, []string{string(f.Severity), f.Check, f.Subject, f.Message})
		}
		if err := columns(w, rows); err != nil {
			return err
		}
		fmt.Fprintln(w)
	}
	rows := [][]string{{"CHECK", "EXAMINED", "NOT EXAMINED"}}
	for _, e := range r.Examined {
		rows = append(rows, []string{e.Check, fmt.Sprint(e.Count), dash(strings.Join(e.Skipped, "; "))})
	}
	if err := columns(w, rows); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%d critical, %s, %d for information\n", r.Count(verify.Critical), count(int32(r.Count(verify.Warning)), "warning"), r.Count(verify.Info))
	return err
}
