package gossip

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/memberlist"
)

// decodeKeys keeps no key twice. Its errors do not tell a key.
func decodeKeys(encoded []string) (keys [][]byte, err error) {
	for i, text := range encoded {
		key, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, fmt.Errorf("key %d is not base64", i+1)
		}
		if err := memberlist.ValidateKey(key); err != nil {
			return nil, fmt.Errorf("key %d is of %d bytes, want 16, 24 or 32", i+1, len(key))
		}
		if !holds(keys, key) {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// readKeys reads a file of keys, at least one.
func readKeys(path string) ([][]byte, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var encoded []string
	for line := range strings.Lines(string(content)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			encoded = append(encoded, line)
		}
	}
	keys, err := decodeKeys(encoded)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%s holds no key", path)
	}
	return keys, nil
}

func holds(keys [][]byte, key []byte) bool {
	return slices.ContainsFunc(keys, func(k []byte) bool { return bytes.Equal(k, key) })
}

// ring is a keyring that can be replaced.
type ring struct {
	mu      sync.Mutex // one replacement at a time
	keyring *memberlist.Keyring
}

// newRing takes valid keys, or none.
func newRing(keys [][]byte) *ring {
	r := &ring{keyring: &memberlist.Keyring{}}
	for _, key := range keys {
		_ = r.keyring.AddKey(key) // fails for a wrong length alone
	}
	return r
}

func (r *ring) encrypts() bool { return len(r.keyring.GetKeys()) > 0 }

// use makes the ring these keys, in this order. It never encrypts with any but the first of the old keys and the first of
// the new, and decrypts both until it is done.
//
// The keyring hands its keys out and shifts them in place when one is removed, which is a race unless that one is the
// last: so keys are removed from the end only, and those that are to stay added again.
func (r *ring) use(keys [][]byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(keys) == 0 || !r.encrypts() {
		return errors.New("encryption cannot be switched on or off while gossip runs: restart all replicas")
	}
	for _, key := range keys {
		if err := r.keyring.AddKey(key); err != nil {
			return err
		}
	}
	if err := r.keyring.UseKey(keys[0]); err != nil {
		return err
	}
	ordered := r.keyring.GetKeys()
	same := 1
	for same < len(keys) && bytes.Equal(ordered[same], keys[same]) {
		same++
	}
	for _, key := range slices.Backward(ordered[same:]) {
		if err := r.keyring.RemoveKey(key); err != nil {
			return err
		}
	}
	for _, key := range keys[same:] {
		if err := r.keyring.AddKey(key); err != nil {
			return err
		}
	}
	return nil
}

// equal tells whether the ring is these keys, in this order.
func (r *ring) equal(keys [][]byte) bool {
	return slices.EqualFunc(r.keyring.GetKeys(), keys, bytes.Equal)
}
