package e2e

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestDownAndUpAgain ends everything and brings it back on the kept data, with the things in the way that a newcomer may
// have.
func TestDownAndUpAgain(t *testing.T) {
	f := start(t)
	before, since := f.inventory(t), f.mark(t)

	said := f.meridian(t, "down", "--data-dir", f.dir)
	if !strings.Contains(said, "all is stopped") {
		t.Errorf("`meridian down` said\n%s", said)
	}
	if left := processesOf(t, f.dir); len(left) > 0 {
		t.Errorf("`meridian down` has left %q", left)
	}

	t.Run("a port is taken", func(t *testing.T) {
		port := f.base + 1 // Global's
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		f.upFails(t, "global", strconv.Itoa(port), strconv.Itoa(os.Getpid()), "--port-base")
		if left := processesOf(t, f.dir); len(left) > 0 {
			t.Errorf("nothing should have been started; %q runs", left)
		}
	})
	t.Run("no go command", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		f.upFails(t, "go command")
	})
	t.Run("another topology", func(t *testing.T) {
		_, err := f.command(t.Context(), "", "up", "--data-dir", f.dir, "--regions", "3")
		if err == nil || !strings.Contains(err.Error(), "2 regions, 3 zones with 4 replicas, 4 clusters") {
			t.Errorf("got %v, want an error that says what is there", err)
		}
	})
	t.Run("a child crashes", func(t *testing.T) {
		dir := f.run.Data("region-east")
		if err := os.Rename(dir, dir+".away"); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := os.Rename(dir+".away", dir); err != nil {
				t.Fatal(err)
			}
		}()
		if err := os.WriteFile(dir, []byte("in the way"), 0o600); err != nil {
			t.Fatal(err)
		}
		f.upFails(t, "region-east ended unexpectedly", filepath.Join(f.run.Logs(), "region-east.log"), "not a directory")
		if err := os.Remove(dir); err != nil {
			t.Fatal(err)
		}
	})

	f.upAgain(t)
	f.wroteNothing(t, since)
	f.stands(t, before)
}

// upFails runs `meridian up`, which must fail and say all of these.
func (f *federation) upFails(t *testing.T, want ...string) {
	t.Helper()
	said, err := f.up(t.Context())
	if err == nil {
		t.Fatalf("`meridian up` did not fail; it said\n%s", said)
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("`meridian up` does not say %q:\n%v", w, err)
		}
	}
}

// processesOf lists the processes that name a folder in their command line.
func processesOf(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(files) == 0 {
		t.Fatalf("listing processes: got %d, %v", len(files), err)
	}
	var found []string
	for _, file := range files {
		b, err := os.ReadFile(file) // fails for one that has ended by now
		if line := strings.ReplaceAll(string(b), "\x00", " "); err == nil && strings.Contains(line, dir+"/") {
			found = append(found, filepath.Base(filepath.Dir(file))+" "+line)
		}
	}
	return found
}
