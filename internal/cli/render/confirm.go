package render

import (
	"fmt"
	"io"

	"github.com/meridian-federation/meridian/internal/question"
)

// Confirm writes what was confirmed at the target. It fails if the target did not answer.
func Confirm(w io.Writer, top *question.Node, target question.Path, what string) error {
	for _, b := range lines(top) {
		if b.node.Unanswered != "" {
			return fmt.Errorf("%s did not answer: %s", b.path, b.node.Unanswered)
		}
		if b.path != target {
			continue
		}
		if len(b.node.Confirmed) == 0 {
			_, err := fmt.Fprintf(w, "%s: no %s to confirm\n", target, what)
			return err
		}
		for _, c := range b.node.Confirmed {
			fmt.Fprintf(w, "%s: %s\n", target, c)
		}
		return nil
	}
	return fmt.Errorf("there is no %s", target)
}
