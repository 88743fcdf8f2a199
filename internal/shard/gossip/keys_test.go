package gossip

import (
	"encoding/base64"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// key is a key of 32 bytes.
func key(n byte) string {
	return base64.StdEncoding.EncodeToString(slices.Repeat([]byte{n}, 32))
}

// TestWrongKeyIsRefused joins members of other keys, and of none, to one that encrypts.
func TestWrongKeyIsRefused(t *testing.T) {
	for _, test := range []struct {
		name        string
		ours, other []string
	}{
		{"another key", []string{key(1)}, []string{key(2)}},
		{"no key", []string{key(1)}, nil},
		{"a key where there is none", nil, []string{key(1)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a := run(t, Config{ID: "a", KeyFile: keyFile(t, test.ours...)}, nil)
			b := run(t, Config{ID: "b", KeyFile: keyFile(t, test.other...), Join: []string{a.address}}, nil)
			a.logged.await(t, slog.LevelError, "check")
			b.logged.await(t, slog.LevelWarn, "other keys")
			for _, m := range []*member{a, b} {
				if got := m.members.alive(); !slices.Equal(got, []string{m.id}) {
					t.Errorf("%s: alive are %v, want it alone", m.id, got)
				}
			}
		})
	}
}

// writeKeys replaces a file by renaming.
func writeKeys(t *testing.T, path string, keys ...string) {
	t.Helper()
	next := path + ".next"
	if err := os.WriteFile(next, []byte("# first encrypts\n"+strings.Join(keys, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
}

// keyFile is a file of keys; none where there are no keys.
func keyFile(t *testing.T, keys ...string) string {
	t.Helper()
	if len(keys) == 0 {
		return ""
	}
	path := filepath.Join(t.TempDir(), "keys")
	writeKeys(t, path, keys...)
	return path
}

// TestRotation replaces the key of three members in three rounds, one member after another, by their files. Nobody is lost,
// and afterwards the old key does not let anybody in.
func TestRotation(t *testing.T) {
	t.Parallel()
	var all []*member
	var files []string
	dir := t.TempDir()
	for _, id := range []string{"a", "b", "c"} {
		file := filepath.Join(dir, id)
		writeKeys(t, file, key(1))
		cfg := Config{ID: id, Label: "west/west-a", KeyFile: file}
		if len(all) > 0 {
			cfg.Join = []string{all[0].address}
		}
		files, all = append(files, file), append(all, run(t, cfg, nil))
	}
	for _, m := range all {
		m.awaitAlive(t, "a", "b", "c")
	}
	for _, round := range [][]string{{key(1), key(2)}, {key(2), key(1)}, {key(2)}} {
		want, err := decodeKeys(round)
		if err != nil {
			t.Fatal(err)
		}
		for i, m := range all {
			writeKeys(t, files[i], round...)
			m.logged.until(t, m.id+" uses the keys", func() bool { return m.ring.equal(want) })
			// Everybody hears everybody in each state of the rotation.
			for _, other := range all {
				if other == m {
					continue
				}
				if _, err := m.list.Join([]string{other.address}); err != nil {
					t.Fatalf("%s speaks to %s after keys changed: %v", m.id, other.id, err)
				}
			}
		}
	}
	for _, m := range all {
		if lost := m.logged.count("replica lost"); lost > 0 {
			t.Errorf("%s lost others %d times during the rotation, want never", m.id, lost)
		}
	}
	late := run(t, Config{ID: "d", Label: "west/west-a", KeyFile: keyFile(t, key(2)), Join: []string{all[1].address}}, nil)
	late.awaitAlive(t, "a", "b", "c", "d")
	old := run(t, Config{ID: "e", Label: "west/west-a", KeyFile: keyFile(t, key(1)), Join: []string{all[1].address}}, nil)
	all[1].logged.await(t, slog.LevelError, "the keys do not decrypt")
	if got := old.members.alive(); !slices.Equal(got, []string{"e"}) {
		t.Errorf("with the old key alive are %v, want it alone", got)
	}
}

// TestKeyFile follows a file through what may happen to it.
func TestKeyFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	// As a Secret is mounted: keys is a link to ..data/keys, and ..data one that is replaced.
	version := func(name string, keys ...string) {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		writeKeys(t, filepath.Join(dir, name, "keys"), keys...)
		next := filepath.Join(dir, "..next")
		if err := os.Symlink(name, next); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	version("..1", key(1))
	file := filepath.Join(dir, "keys")
	if err := os.Symlink("..data/keys", file); err != nil {
		t.Fatal(err)
	}
	m := run(t, Config{ID: "a", KeyFile: file}, nil)
	uses := func(keys ...string) {
		t.Helper()
		want, err := decodeKeys(keys)
		if err != nil {
			t.Fatal(err)
		}
		m.logged.until(t, fmt.Sprintf("it uses %d other keys", len(keys)), func() bool { return m.ring.equal(want) })
	}
	uses(key(1))
	version("..2", key(1), key(2))
	uses(key(1), key(2))
	version("..3", key(3), "nonsense")
	m.logged.await(t, slog.LevelWarn, "the key file is of no use")
	uses(key(1), key(2))
	version("..4", key(3), key(2))
	uses(key(3), key(2))
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	writeKeys(t, file, key(4))
	uses(key(4))
	writeKeys(t, file, key(5), key(5), key(4))
	uses(key(5), key(4))
	if err := m.ring.use(nil); err == nil {
		t.Error("encryption was switched off, want an error")
	}
}

// TestRing checks on random replacements that the ring is what it is told to be.
func TestRing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		some := rapid.SliceOfNDistinct(rapid.ByteRange(1, 6), 1, 5, rapid.ID[byte])
		encode := func(ids []byte) (keys [][]byte) {
			for _, id := range ids {
				keys = append(keys, slices.Repeat([]byte{id}, 16))
			}
			return keys
		}
		r := newRing(encode(some.Draw(t, "first")))
		for range 5 {
			keys := encode(some.Draw(t, "next"))
			if err := r.use(keys); err != nil {
				t.Fatal(err)
			}
			if !r.equal(keys) {
				t.Fatalf("the ring is %v, want %v", r.keyring.GetKeys(), keys)
			}
		}
	})
}
