package verify_test

import (
	"bytes"
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/meridian-federation/meridian/internal/verify"
)

// The checklist in docs/security.md is that of the code.
func TestChecklistIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	_, checklist, found := bytes.Cut(text, []byte("## Checklist"))
	if !found {
		t.Fatal("docs/security.md has no checklist")
	}
	var got []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\|").FindAllSubmatch(checklist, -1) {
		got = append(got, string(row[1]))
	}
	if want := verify.Checks(); !slices.Equal(got, want) {
		t.Errorf("checks in docs/security.md: got %q, want %q", got, want)
	}
}
