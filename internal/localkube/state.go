package localkube

import (
	"crypto/rand"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/meridian-federation/meridian/internal/process"
)

// state is what a cluster keeps between starts beside its database and keys.
type state struct {
	Port   int               `json:"port"`
	Tokens map[string]string `json:"tokens"` // by user
}

// loadState brings the kept state up to date with cfg and saves it.
func loadState(cfg Config) (state, error) {
	s := state{Tokens: map[string]string{}}
	b, err := os.ReadFile(cfg.file("state.json"))
	switch {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return s, err
	default:
		if err := json.Unmarshal(b, &s); err != nil {
			return s, fmt.Errorf("reading %s: %w", cfg.file("state.json"), err)
		}
	}
	if cfg.Port != 0 {
		s.Port = cfg.Port
	}
	if s.Port == 0 {
		if s.Port, err = process.FreePort(); err != nil {
			return s, err
		}
	}
	for _, u := range cfg.users() {
		switch {
		case u.Token != "":
			s.Tokens[u.Name] = u.Token
		case s.Tokens[u.Name] == "":
			s.Tokens[u.Name] = rand.Text()
		}
	}
	b, err = json.MarshalIndent(s, "", "  ")
	if err != nil {
		return s, err
	}
	return s, writeFile(cfg.file("state.json"), b)
}

// writeTokens writes the API server's token file: token, user, uid, groups.
func writeTokens(cfg Config, s state) error {
	var b strings.Builder
	w := csv.NewWriter(&b)
	for _, u := range cfg.users() {
		row := []string{s.Tokens[u.Name], u.Name, u.Name, strings.Join(u.Groups, ",")}
		if err := w.Write(row); err != nil {
			return err
		}
	}
	w.Flush()
	return writeFile(cfg.file("tokens.csv"), []byte(b.String()))
}

// writeFile replaces a file in one step; only its owner may read it.
func writeFile(file string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	next := file + ".new"
	if err := os.WriteFile(next, b, 0o600); err != nil {
		return err
	}
	return os.Rename(next, file)
}
