package localkube

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// module is this repository's.
const module = "github.com/meridian-federation/meridian"

// FindRoot returns the root of the checkout that dir is in; "" stands for the
// working folder.
func FindRoot(dir string) (string, error) {
	start, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("finding the checkout: %w", err)
	}
	for at := start; ; at = filepath.Dir(at) {
		b, err := os.ReadFile(filepath.Join(at, "go.mod"))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", fmt.Errorf("finding the checkout: %w", err)
		}
		if bytes.HasPrefix(b, []byte("module "+module+"\n")) {
			return at, nil
		}
		if at == filepath.Dir(at) {
			return "", fmt.Errorf("finding the checkout: %s is not inside one of %s", start, module)
		}
	}
}
