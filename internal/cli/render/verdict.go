package render

import (
	"fmt"
	"io"

	"github.com/meridian-federation/meridian/internal/question"
)

// Verdict writes yes or no, then why, and what the caller declares.
func Verdict(w io.Writer, v *question.Verdict) error {
	answer, why := "yes", v.Rule
	if !v.Allowed {
		answer, why = "no", v.Reason
	}
	if _, err := fmt.Fprintf(w, "%s: %s\n", answer, why); err != nil {
		return err
	}
	if v.Dependency == "" {
		return nil
	}
	_, err := fmt.Fprintf(w, "dependency: %s\n", v.Dependency)
	return err
}
