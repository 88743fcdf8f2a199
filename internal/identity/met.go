package identity

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/meridian-federation/meridian/internal/question"
)

// met is the highest generation that was met of each place, in the chains of those whom this process dials, or was heard of
// from its parent; at Global that of the process itself as well. It only rises, until the process enrols anew. The zero met is empty, and kept nowhere.
type met struct {
	mu      sync.Mutex
	highest map[question.Path]uint64 // guarded by mu; generation 0 is not in it
	folder  *folder                  // guarded by mu; nil keeps nothing
	fresh   bool                     // guarded by mu; forget was called in this run of the process
}

// atLeast raises lowest to what was met.
func (m *met) atLeast(lowest Lowest) Lowest {
	return func(path question.Path) uint64 {
		m.mu.Lock()
		least := m.highest[path]
		m.mu.Unlock()
		if lowest != nil {
			least = max(least, lowest(path))
		}
		return least
	}
}

// of is what was met of a place.
func (m *met) of(path question.Path) uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.highest[path]
}

// isFresh tells whether the process has enrolled in this run.
func (m *met) isFresh() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.fresh
}

// raise takes a generation that was told of a place.
func (m *met) raise(path question.Path, generation uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if generation <= m.highest[path] {
		return nil
	}
	risen := maps.Clone(m.highest)
	if risen == nil {
		risen = map[question.Path]uint64{}
	}
	risen[path] = generation
	return m.set(risen)
}

// note takes the generations of a chain that was verified; what is new is on the disk when it returns.
func (m *met) note(v verified) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	risen := maps.Clone(m.highest)
	if risen == nil {
		risen = map[question.Path]uint64{}
	}
	for i, cert := range v.chain {
		at, ok := v.path, true
		if i > 0 {
			at, ok, _ = placeOf(cert) // verified
		}
		if generation, _ := generationOf(cert); ok && generation > risen[at] {
			risen[at] = generation
		}
	}
	if maps.Equal(risen, m.highest) {
		return nil
	}
	return m.set(risen)
}

// keepIn has what is met outlive the process, and takes what an earlier one kept.
func (m *met) keepIn(f *folder) error {
	kept, err := f.generations()
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.highest, m.folder = kept, f
	return nil
}

// forget begins anew, as an enrolment does: it may be below another control plane's generations.
func (m *met) forget() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fresh = true
	if len(m.highest) == 0 {
		return nil
	}
	return m.set(nil)
}

// set needs mu. It changes nothing where that cannot be kept.
func (m *met) set(highest map[question.Path]uint64) error {
	if m.folder != nil {
		if err := m.folder.keepGenerations(highest); err != nil {
			return err
		}
	}
	m.highest = highest
	return nil
}

// keepGenerations writes one block for each place.
func (f folder) keepGenerations(highest map[question.Path]uint64) error {
	var blocks []*pem.Block
	for path, generation := range highest {
		blocks = append(blocks, &pem.Block{Type: pemGeneration, Bytes: fmt.Appendf(nil, "%d %s", generation, path)})
	}
	slices.SortFunc(blocks, func(a, b *pem.Block) int { return strings.Compare(string(a.Bytes), string(b.Bytes)) })
	return f.write(generationsFile, blocks...)
}

// generations is what keepGenerations wrote last.
func (f folder) generations() (map[question.Path]uint64, error) {
	name := filepath.Join(f.dir, generationsFile)
	content, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the generations that were met: %w", err)
	}
	highest := map[question.Path]uint64{}
	for {
		var block *pem.Block
		if block, content = pem.Decode(content); block == nil {
			break
		}
		number, text, _ := strings.Cut(string(block.Bytes), " ")
		generation, err := strconv.ParseUint(number, 10, 64)
		path, pathErr := question.ParsePath(text)
		if err != nil || pathErr != nil {
			return nil, damaged(name)
		}
		highest[path] = generation
	}
	if len(bytes.TrimSpace(content)) > 0 {
		return nil, damaged(name)
	}
	return highest, nil
}

func damaged(name string) error {
	return fmt.Errorf("reading %s: it was damaged, and tells which parents were replaced: enrol anew, with a token and an empty folder", name)
}
