package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	// awaitWithin is generous: a busy machine is slow, and only a failure takes so long.
	awaitWithin = 90 * time.Second
	lookEvery   = 50 * time.Millisecond
	lookWithin  = 20 * time.Second
	// tailLines is how much of each log a failed test shows.
	tailLines = 6
)

// await waits until look returns nil, and fails the test with look's last error.
func await(t *testing.T, what string, look func(ctx context.Context) error) {
	t.Helper()
	deadline := time.Now().Add(awaitWithin)
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		ctx, cancel := context.WithTimeout(t.Context(), lookWithin)
		err := look(ctx)
		cancel()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waiting %v until %s: %v", awaitWithin, what, err)
		}
		<-tick.C
	}
}

// showLogs shows the end of what each of Meridian's processes logged.
func (f *federation) showLogs(t *testing.T) {
	if f.run == nil {
		return
	}
	for _, name := range f.run.Processes() {
		if strings.HasSuffix(name, "-apiserver") {
			continue
		}
		file := filepath.Join(f.run.Logs(), name+".log")
		b, err := os.ReadFile(file)
		if err != nil {
			t.Log(err)
			continue
		}
		lines := slices.DeleteFunc(strings.Split(strings.TrimSpace(string(b)), "\n"), func(l string) bool { return strings.HasSuffix(l, "from=etcd") })
		t.Logf("%s ends with:\n%s", file, strings.Join(lines[max(0, len(lines)-tailLines):], "\n"))
	}
}

// differ says which names are in one of two sets only; "" if none.
func differ(got, want []string) string {
	var b strings.Builder
	for _, x := range got {
		if !slices.Contains(want, x) {
			fmt.Fprintf(&b, "\n\tgot  %s", x)
		}
	}
	for _, x := range want {
		if !slices.Contains(got, x) {
			fmt.Fprintf(&b, "\n\twant %s", x)
		}
	}
	return b.String()
}

// wrong is an error unless got is want.
func wrong[T comparable](what string, got, want T) error {
	if got == want {
		return nil
	}
	return fmt.Errorf("%s: got %v, want %v", what, got, want)
}
